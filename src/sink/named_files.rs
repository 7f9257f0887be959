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
    /// Whether the book gave the name of a file to its call alone, by call.
    given: Vec<bool>,
}

impl NamedFiles {
    /// Files in `directory`, as records tell it, under names from `book`.
    #[must_use]
    pub const fn new(directory: PathBuf, files: CallFiles, book: NameBook) -> Self {
        Self { directory, files, book, given: Vec::new() }
    }

    /// Begins the file of a call.
    pub(super) fn open(&mut self, call: u32, fields: &NameFields<'_>, kept: bool) {
        let index = call as usize;
        if index >= self.given.len() {
            self.given.resize(index + 1, false);
        }
        self.given.get_mut(index).into_iter().for_each(|given| *given = kept);
        // What most likely gets no file takes no number from those that do.
        self.files.open(FileKey(call), kept, |name| match kept {
            true => self.book.assign(fields, name),
            false => self.book.propose(fields, name),
        });
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
        let key = FileKey(call);
        if !kept {
            self.files.discard(key);
            if self.given.get(call as usize) == Some(&true) {
                self.book.release(self.files.name(key));
            }
            return None;
        }
        let number = self.files.close(key).filter(|_| told)?;
        let mut name = String::new();
        numbered(&mut name, self.files.name(key), number, "");
        Some(self.directory.join(name).to_string_lossy().into_owned())
    }
}
