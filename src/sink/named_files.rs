//! Call files with their names: what one thread needs to write the files of its calls.

use std::path::PathBuf;

use crate::sink::call_files::{CallFiles, FileKey};
use crate::sink::directory::numbered;
use crate::sink::encoder::FrameInfo;
use crate::sink::names::NameBook;
use crate::sink::reframe::StreamPiece;
use crate::sink::template::NameFields;

/// The per-call files of a run, with their names.
#[derive(Debug)]
pub struct NamedFiles {
    directory: PathBuf,
    pub(super) files: CallFiles,
    book: NameBook,
    /// Names of the files that are open, by call.
    names: Vec<Name>,
}

#[derive(Debug, Default)]
struct Name {
    text: String,
    /// The book gave it to this call alone.
    given: bool,
}

impl NamedFiles {
    /// Files in `directory`, as records tell it, under names from `book`.
    #[must_use]
    pub const fn new(directory: PathBuf, files: CallFiles, book: NameBook) -> Self {
        Self { directory, files, book, names: Vec::new() }
    }

    /// Begins the file of a call.
    pub(super) fn open(&mut self, call: u32, fields: &NameFields<'_>, kept: bool) {
        let index = call as usize;
        if index >= self.names.len() {
            self.names.resize_with(index + 1, Name::default);
        }
        let Some(name) = self.names.get_mut(index) else { return };
        name.given = kept;
        // What most likely gets no file takes no number from those that do.
        if kept {
            self.book.assign(fields, &mut name.text);
        } else {
            self.book.propose(fields, &mut name.text);
        }
        self.files.open(FileKey(call), &name.text, kept);
    }

    /// The call has become one to keep.
    pub(super) fn keep(&mut self, call: u32) {
        self.files.keep(FileKey(call));
    }

    /// The call has ended.
    pub(super) fn ended(&mut self, call: u32) {
        self.files.ended(FileKey(call));
    }

    /// Something of these calls is about to come.
    pub(super) fn touch(&self, calls: &[u32]) {
        self.files.touch(calls.iter().map(|&call| FileKey(call)));
    }

    #[inline]
    pub(super) fn frame(&mut self, call: u32, info: &FrameInfo, bytes: &[u8]) {
        self.files.frame(FileKey(call), info, bytes);
    }

    #[inline]
    pub(super) fn stream(&mut self, call: u32, piece: &StreamPiece<'_>) {
        self.files.stream(FileKey(call), piece);
    }

    /// Ends the file of a call. `told`: tells its path, if there is one now.
    pub(super) fn close(&mut self, call: u32, kept: bool, told: bool) -> Option<String> {
        let name = self.names.get(call as usize)?;
        if !kept {
            self.files.discard(FileKey(call));
            if name.given {
                self.book.release(&name.text);
            }
            return None;
        }
        let number = self.files.close(FileKey(call)).filter(|_| told)?;
        let mut given = String::new();
        numbered(&mut given, &name.text, number, "");
        Some(self.directory.join(given).to_string_lossy().into_owned())
    }
}
