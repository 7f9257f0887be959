//! `lippycat report`: finds the records and hands them to a report.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::stages::Reading;
use super::{cores, debug, extent, load, sniff, tell, unless_left};
use crate::call;
use crate::cli::{
    self, Global, ReportCall, ReportCalls, ReportCarriers, ReportCommand, ReportTargets, Source, StoryFormat,
    Which,
};
use crate::config::{self, Config, Environment, Run};
use crate::control::client::Client;
use crate::control::protocol::Question;
use crate::exit_code::ExitCode;
use crate::inspect::trace::{Call, Collector};
use crate::inspect::{self, Extent, Screen, Wanted};
use crate::privacy::Privacy;
use crate::report::{
    Audio, Calls, FIRST_LINE, Finder, Grouped, Grouping, Groups, Listing, MAX_ROWS, OfCapture, ReadError,
    Record, Story, Taker, Unshown, offer, read,
};
use crate::sink;

/// Digits of a prefix, unless others are asked for: most country codes and the beginning of what follows.
const PREFIX: usize = 4;

/// Reports.
///
/// # Errors
/// When there are no records to be had, no such call, or stdout says no.
pub(super) fn report(
    command: &ReportCommand,
    global: &Global,
    environment: &Environment,
) -> Result<ExitCode> {
    let source = command.source();
    if command.which().is_some_and(Which::is_never) {
        tell("error: --since is later than --until: no call begins in between")?;
        return Ok(ExitCode::Usage);
    }
    let mut loaded = load(global, environment)?;
    source.privacy.apply(&mut loaded.settings);
    let color = global.color.unwrap_or_default();
    let run = Run {
        inputs: source.read_file.clone(),
        color,
        quiet: global.quiet,
        instance: source.name.clone(),
        ..Run::default()
    };
    let config = config::resolve(&mut loaded.settings, run, cores());
    // The file is the service's, and not for everybody to write to.
    cli::logging::start(&config::Log { file: None, ..config.log.clone() })?;
    let Some(origin) = Origin::of(source, &config) else {
        tell(
            "error: no records: name files of them with --records FILE or captures with -r FILE, ask the running \
             sniffer with --live, or set records.file in the configuration",
        )?;
        return Ok(ExitCode::Usage);
    };
    let places = debug::places(&config.control, environment);
    let reporter = Reporter { origin, source, config: &config, places };
    match command {
        ReportCommand::Calls(flags) => reporter.calls(flags),
        ReportCommand::Carriers(flags) => reporter.carriers(flags),
        ReportCommand::Targets(flags) => reporter.targets(flags),
        ReportCommand::Call(flags) => reporter.call(flags),
    }
}

/// Where records come from.
enum Origin {
    Files(Vec<PathBuf>),
    Captures,
    Live,
}

impl Origin {
    fn of(source: &Source, config: &Config) -> Option<Self> {
        if source.live {
            Some(Self::Live)
        } else if !source.read_file.is_empty() {
            Some(Self::Captures)
        } else if !source.records.is_empty() {
            Some(Self::Files(source.records.clone()))
        } else {
            let is_file = |path: &PathBuf| path != Path::new("-");
            config.records.clone().filter(is_file).map(|path| Self::Files(vec![path]))
        }
    }
}

struct Reporter<'a> {
    origin: Origin,
    source: &'a Source,
    config: &'a Config,
    /// Where the running sniffer may be asked.
    places: Vec<PathBuf>,
}

impl Reporter<'_> {
    fn screen(&self) -> Screen {
        Screen::of_stdout(self.config.run.color)
    }

    fn calls(&self, flags: &ReportCalls) -> Result<ExitCode> {
        let listing = Listing {
            selection: flags.which.selection(),
            all: flags.all,
            fields: flags.fields.clone(),
            sort: flags.sort.clone(),
            descending: flags.desc,
            limit: flags.limit,
            format: flags.format.unwrap_or_default(),
        };
        let mut out = BufWriter::new(sink::Stdout);
        let mut calls = Calls::new(listing, self.screen(), &mut out);
        let (code, read) = self.feed(&mut calls)?;
        let Unshown { rows: left_out, others } = unless_left(calls.finish(read == Extent::Whole))?;
        if others > 0 {
            tell(&format!("note: not shown without --all: {}", inspect::count(others, "other dialog")))?;
        }
        match flags.limit.filter(|limit| *limit <= MAX_ROWS) {
            _ if left_out == 0 => {}
            Some(limit) => tell(&format!("note: {left_out} more are not shown: --limit is {limit}"))?,
            None => tell(&format!(
                "note: {left_out} more are not shown: a table, and what is sorted, has at most {MAX_ROWS}; choose fewer, \
                 or use --format csv or json without --sort"
            ))?,
        }
        Ok(code)
    }

    fn carriers(&self, flags: &ReportCarriers) -> Result<ExitCode> {
        let by = flags.by.unwrap_or_default();
        if flags.digits.is_some() && by != crate::report::By::Prefix {
            tell("error: --digits is about --by prefix")?;
            return Ok(ExitCode::Usage);
        }
        if by == crate::report::By::Carrier && self.config.carriers.is_empty() {
            tell("note: no carriers are configured, so all is other; see carriers in docs/configuration.md")?;
        }
        let grouping = Grouping::Carriers { by, digits: flags.digits.map_or(PREFIX, usize::from) };
        self.groups(flags.which.selection(), grouping, flags.limit, flags.format.unwrap_or_default())
    }

    fn targets(&self, flags: &ReportTargets) -> Result<ExitCode> {
        if self.config.targets.is_empty() {
            tell("note: no targets are configured, so all is other; see targets in docs/configuration.md")?;
        }
        self.groups(flags.which.selection(), Grouping::Targets, flags.limit, flags.format.unwrap_or_default())
    }

    fn groups(
        &self,
        selection: crate::report::Selection,
        grouping: Grouping,
        limit: Option<usize>,
        format: crate::report::Format,
    ) -> Result<ExitCode> {
        let (carriers, targets) = (self.config.carriers.clone(), self.config.targets.clone());
        let mut groups = Groups::new(Grouped { selection, grouping, carriers, targets, limit, format });
        let (code, read) = self.feed(&mut groups)?;
        let mut out = BufWriter::new(sink::Stdout);
        let left_out = unless_left(groups.finish(read == Extent::Whole, &self.screen(), &mut out))?;
        if let Some(limit) = limit.filter(|_| left_out > 0) {
            tell(&format!("note: {left_out} more are not shown: --limit is {limit}"))?;
        }
        Ok(code)
    }

    fn call(&self, flags: &ReportCall) -> Result<ExitCode> {
        let wanted = Wanted::new(&flags.call_id);
        let is_pipe = self.source.read_file.iter().any(|it| it == Path::new("-"));
        if flags.wav.is_some() && is_pipe {
            tell("error: --wav reads the capture twice: name a file, not -")?;
            return Ok(ExitCode::Usage);
        }
        if flags.wav.is_some() && !matches!(self.origin, Origin::Captures) {
            tell("error: --wav reads the capture: name it with -r FILE")?;
            return Ok(ExitCode::Usage);
        }
        let mut calls = Vec::new();
        let (stories, code) = match self.origin {
            Origin::Captures => {
                let mut collector = Collector::new(wanted, FIRST_LINE, self.config.privacy);
                let settings = inspect::settings(self.config.privacy.digits);
                let is_last = flags.wav.is_none();
                let reading = Reading { is_last, ..Reading::of(settings) };
                let (outcome, code) = sniff::follow(self.config, reading, None, &mut collector)?;
                let found = collector.finish(extent(&outcome, code)).map_err(anyhow::Error::msg)?;
                let stories = found.calls.iter().map(Story::of_call).collect::<io::Result<Vec<_>>>()?;
                calls = found.calls;
                (stories, code)
            }
            Origin::Files(_) | Origin::Live => {
                let mut finder = Finder::new(wanted);
                let (code, read) = self.feed(&mut finder)?;
                (finder.finish(read == Extent::Whole).map_err(anyhow::Error::msg)?, code)
            }
        };
        unless_left(self.show(&stories, flags))?;
        let Some(directory) = &flags.wav else { return Ok(code) };
        let heard = self.listen(directory, &calls)?;
        Ok(if code == ExitCode::Good { heard } else { code })
    }

    fn show(&self, stories: &[Story], flags: &ReportCall) -> io::Result<()> {
        let mut out = BufWriter::new(sink::Stdout);
        let ladder = self.ladder(flags);
        for (number, story) in stories.iter().enumerate() {
            match flags.format.unwrap_or_default() {
                StoryFormat::Json => story.json(ladder.as_deref(), &mut out)?,
                StoryFormat::Text => {
                    if number > 0 {
                        writeln!(out)?;
                    }
                    story.text(ladder.as_deref(), &self.screen(), &mut out)?;
                }
            }
        }
        out.flush()
    }

    /// Reads the capture again, for what was said.
    fn listen(&self, directory: &Path, calls: &[Call]) -> Result<ExitCode> {
        let about = || format!("{}: the audio cannot be written there", directory.display());
        let mut audio = Audio::new(directory, calls).with_context(about)?;
        let settings = call::Settings { media_frames: true, ..inspect::settings(false) };
        let reading = Reading { frames: true, ..Reading::of(settings) };
        sniff::follow(self.config, reading, None, &mut audio)?;
        let heard = audio.finish().with_context(about)?;
        for (path, seconds) in &heard.files {
            tell(&format!("{}: {seconds:.3} s", config::Visible(&path.to_string_lossy())))?;
        }
        for (codec, packets) in &heard.undecoded {
            let codec = config::Visible(codec);
            let packets = inspect::count(*packets, "packet");
            tell(&format!("error: {codec} is not decoded: {packets} silent or in no file"))?;
        }
        if heard.dropped > 0 {
            tell(&format!(
                "warning: {} samples came too late or beyond 1 GiB, and are left out",
                heard.dropped
            ))?;
        }
        if heard.files.is_empty() && heard.undecoded.is_empty() {
            tell("error: the capture has no audio of this call")?;
        }
        let is_whole = heard.undecoded.is_empty() && !heard.files.is_empty();
        Ok(if is_whole { ExitCode::Good } else { ExitCode::No })
    }

    /// The command that draws the call.
    fn ladder(&self, flags: &ReportCall) -> Option<String> {
        let is_capture = matches!(self.origin, Origin::Captures);
        is_capture.then(|| inspect::command(&flags.call_id, &self.source.read_file)).flatten()
    }

    /// Hands all records to `taker`; tells how many of them there were to be had. A signal ends what captures are read for, and
    /// that is no failure.
    fn feed(&self, taker: &mut (dyn Taker + Send)) -> Result<(ExitCode, Extent)> {
        match &self.origin {
            Origin::Files(files) => {
                let code = self.read(files, taker)?;
                Ok((code, if code == ExitCode::Good { Extent::Whole } else { Extent::Part }))
            }
            Origin::Captures => {
                let mut listener = OfCapture::new(self.config.privacy, taker);
                let settings = inspect::settings(self.config.privacy.digits);
                let reading = Reading { is_private: true, ..Reading::of(settings) };
                let (outcome, code) = sniff::follow(self.config, reading, None, &mut listener)?;
                unless_left(listener.outcome)?;
                Ok((code, extent(&outcome, code)))
            }
            Origin::Live => {
                let mut client = Client::connect(&self.places, self.source.name.as_deref())?;
                let in_full = Privacy { masked: false, digits: true };
                for call in client.ask_all(Question::about("calls"), "calls")?.rows {
                    offer(Record::new(call, in_full), self.config.privacy, taker)?;
                }
                Ok((ExitCode::Good, Extent::Whole))
            }
        }
    }

    fn read(&self, files: &[PathBuf], taker: &mut (dyn Taker + Send)) -> Result<ExitCode> {
        let (mut records, mut failed, mut denied) = (0, 0, 0);
        for path in files {
            let name = config::Visible(&path.to_string_lossy()).to_string();
            let told = match read(path, self.config.privacy, taker) {
                Ok(told) => told,
                Err(ReadError::Output(error)) => {
                    unless_left(Err::<(), _>(error))?;
                    break;
                }
                Err(ReadError::Source(error)) => {
                    tell(&format!("error: {error}"))?;
                    failed += 1;
                    denied += usize::from(error.is_permission_denied());
                    continue;
                }
            };
            records += told.records;
            if told.records == 0 && told.damaged > 0 {
                tell(&format!("error: {name}: no line of it is a record; captures are read with -r"))?;
                failed += 1;
            } else if told.damaged > 0 {
                tell(&format!("warning: {name}: damaged lines left out: {}", told.damaged))?;
            }
            if let Some(error) = told.cut {
                tell(&format!("warning: {name}: used up to record {}: {error}", told.records))?;
            }
            if told.stopped {
                break;
            }
        }
        if failed == files.len() && records == 0 {
            if denied == failed {
                return Ok(ExitCode::NotPermitted);
            }
            bail!("no records could be read");
        }
        Ok(if failed == 0 { ExitCode::Good } else { ExitCode::No })
    }
}
