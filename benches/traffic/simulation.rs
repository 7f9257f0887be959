//! The telephone network: dialogs begin, their messages are due one after the other, media flows while they talk.

use std::io;

use super::address::Addresses;
use super::bridge::{self, Link, Lookalike};
use super::connection::{self, CLIENT, Connection, SERVER, World};
use super::frame::Endpoint;
use super::ledger::{Call, Entry, Ledger};
use super::media::{Stream, Studio, Talk};
use super::message::{Identity, Renderer, Transport, payload_type};
use super::network::Network;
use super::noise::Crowd;
use super::profile::Profile;
use super::rng::{Rng, mix};
use super::schedule::{Event, Schedule};
use super::script::{Author, MILLISECOND, Outcome, SECOND, Script};
use super::step::{Mark, Step};

/// Midnight of 2026-01-01, UTC.
const EPOCH: u64 = 1_767_225_600 * SECOND;
/// After this time an INVITE without an answer has failed (64*T1, RFC 3261 17.1.1.2) for every observer.
const SILENCE: u64 = 40 * SECOND;

/// A dialog that is going on.
struct Dialog {
    identity: Identity,
    steps: Vec<Step>,
    next: usize,
    begin: u64,
    talk: u64,
    outcome: Outcome,
    kind: Kind,
    entry: Entry,
    /// Over which connection it goes, and on which side of it the one who opened the dialog sits.
    connection: Option<(u32, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Call,
    Registration,
    Options,
}

/// Everything that goes on.
pub(crate) struct Simulation<'a, 'w> {
    profile: &'a Profile,
    rng: Rng,
    network: Network<'w>,
    schedule: Schedule,
    renderer: Renderer,
    studio: Studio,
    crowd: Crowd,
    dialogs: Vec<Option<Dialog>>,
    free_dialogs: Vec<u32>,
    streams: Vec<Option<Stream>>,
    free_streams: Vec<u32>,
    connections: Vec<Connection>,
    /// Dialogs still to begin: calls, registrations, OPTIONS.
    left: [u64; 3],
    begun: u64,
    going_on: u64,
    addresses: Addresses,
    now: u64,
}

impl<'a, 'w> Simulation<'a, 'w> {
    pub(crate) fn new(profile: &'a Profile, out: &'w mut dyn io::Write) -> io::Result<Self> {
        let load = &profile.load;
        let mut simulation = Self {
            profile,
            rng: Rng::new(load.seed),
            network: Network::create(out, profile)?,
            schedule: Schedule::default(),
            renderer: Renderer::default(),
            studio: Studio::new(&profile.media, load.seed),
            crowd: Crowd::new(load.seed, &profile.noise, profile.wire.link),
            dialogs: Vec::new(),
            free_dialogs: Vec::new(),
            streams: Vec::new(),
            free_streams: Vec::new(),
            connections: Vec::new(),
            left: [load.calls, load.registrations, load.options],
            begun: 0,
            going_on: 0,
            addresses: Addresses::new(load, profile.wire.ipv6),
            now: EPOCH,
        };
        if profile.tcp.tcp > 0.0 {
            simulation.lay_connections();
        }
        simulation.schedule.push(EPOCH, Event::Arrival);
        Ok(simulation)
    }

    /// Lets everything happen.
    pub(crate) fn run(mut self) -> io::Result<Ledger> {
        self.drain()?;
        let is_troubled = self.profile.shape.faults + self.profile.shape.media_faults > 0.0;
        if is_troubled || self.network.ledger.calls.by_result.contains_key(Outcome::Timeout.word()) {
            // Somebody must speak when the time of the unanswered is up, or their calls would still be open.
            self.now += SILENCE;
            self.begin(Kind::Options, None)?;
            self.drain()?;
        }
        if self.profile.tcp.fin {
            self.close_connections()?;
        }
        self.network.finish()
    }

    fn drain(&mut self) -> io::Result<()> {
        while let Some((at, event)) = self.schedule.pop() {
            self.noise_until(at)?;
            self.now = at;
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Arrival => self.arrival(),
            Event::Reuse { call_key } => {
                self.network.ledger.calls.reused_call_ids += 1;
                self.begin(Kind::Call, Some(call_key))
            }

            Event::Step { dialog } => self.step(dialog),
            Event::Media { stream } => self.media(stream),
            Event::Flush { connection } => self.on(connection, |line, world| line.flush_both(world)),
            Event::Acknowledge { connection, side } => {
                self.on(connection, |line, world| line.acknowledge(world, side))
            }
            Event::KeepAlive { connection } => self.keep_alive(connection),
            Event::Pong { connection } => self.on(connection, |line, world| line.keep_alive(world, SERVER)),
            Event::Again { frame } => connection::again(&mut self.network, self.now, &frame),
        }
    }

    /// Fills the time until the next event with as many other packets as keep the share.
    fn noise_until(&mut self, at: u64) -> io::Result<()> {
        let share = self.profile.noise.noise;
        if share <= 0.0 {
            return Ok(());
        }
        let made = self.network.ledger.noise.packets;
        let telephony = self.network.packets() - made;
        let due = ((telephony as f64 * share / (1.0 - share)) as u64).saturating_sub(made);
        let span = at.saturating_sub(self.now);
        for number in 0..due {
            let moment = self.now + span * (number + 1) / (due + 1);
            self.crowd.packet(moment, &mut self.network)?;
        }
        Ok(())
    }

    /// The next dialog begins, and the one after it is planned.
    fn arrival(&mut self) -> io::Result<()> {
        let all: u64 = self.left.iter().sum();
        let mut dice = self.rng.below(all);
        let kinds = [Kind::Call, Kind::Registration, Kind::Options];
        for (index, kind) in kinds.into_iter().enumerate() {
            if dice < self.left[index] {
                self.left[index] -= 1;
                self.begin(kind, None)?;
                break;
            }
            dice -= self.left[index];
        }
        if all > 1 {
            let load = &self.profile.load;
            let dialogs = (load.calls + load.registrations + load.options) as f64;
            let rate = load.rate * dialogs / load.calls.max(1) as f64;
            let gap = self.rng.exponential(1.0 / rate) * SECOND as f64;
            self.schedule.push(self.now + gap as u64, Event::Arrival);
        }
        Ok(())
    }

    fn begin(&mut self, kind: Kind, call_key: Option<u64>) -> io::Result<()> {
        if kind == Kind::Call && call_key.is_none() {
            if self.rng.share(self.profile.bridge.b2bua) {
                return self.bridged();
            }
            if self.rng.share(self.profile.bridge.lookalikes) {
                return self.lookalikes();
            }
        }
        let (identity, connection) = self.identity(kind, call_key);
        let datagrams = identity.transport == Transport::Udp;
        let author = Author::new(&mut self.rng, self.profile, datagrams);
        let script = match kind {
            Kind::Call => author.call(),
            Kind::Registration => author.registration(),
            Kind::Options => author.options(),
        };
        let place = self.place(kind, identity, script, self.now);
        if let Some(dialog) = &mut self.dialogs[place as usize] {
            dialog.connection = connection;
        }
        self.step(place)
    }

    /// Notes a dialog that begins then.
    fn place(&mut self, kind: Kind, identity: Identity, script: Script, begin: u64) -> u32 {
        let entry = self.enter(kind, &identity, &script);
        self.going_on += 1;
        let ledger = &mut self.network.ledger;
        ledger.dialogs_at_once = ledger.dialogs_at_once.max(self.going_on);
        ledger.sip.call_ids += u64::from(identity.call_key == identity.key);
        self.plan(&identity, entry, &script, begin);
        let Script { steps, outcome, talk, .. } = script;
        let dialog = Dialog { identity, steps, next: 0, begin, talk, outcome, kind, entry, connection: None };
        put(&mut self.dialogs, &mut self.free_dialogs, dialog)
    }

    /// A call through a B2BUA begins.
    fn bridged(&mut self) -> io::Result<()> {
        let link = Link::draw(&mut self.rng);
        let mut pair = self.pair();
        let identical = self.profile.bridge.identical;
        bridge::connect(link, identical, &mut pair);
        let script = Author::new(&mut self.rng, self.profile, true).call();
        let (delay, passing) = bridge::delays(&mut self.rng);
        let incoming = bridge::incoming(&script, delay, passing);
        let joined_by = link.joined_by(script.outcome).filter(|_| !identical);
        let session = pair[0].call_id();
        self.both(pair, [incoming, script], delay, |call| {
            call.session = Some(session.clone());
            call.joined_by = joined_by;
        })
    }

    /// Two calls begin that look like one through a B2BUA.
    fn lookalikes(&mut self) -> io::Result<()> {
        let alike = Lookalike::draw(&mut self.rng);
        let mut pair = self.pair();
        alike.dress(&mut pair);
        let scripts = [0, 1].map(|_| Author::new(&mut self.rng, self.profile, true).call());
        let delay = self.rng.between(2 * MILLISECOND, 300 * MILLISECOND);
        self.both(pair, scripts, delay, |_| ())
    }

    /// A user agent that calls a server, and the same server that calls another one. UDP.
    fn pair(&mut self) -> [Identity; 2] {
        let [agent, server] = self.addresses.hosts(&mut self.rng);
        let is_other = |other: &Endpoint| other.ip != agent.ip && other.ip.is_ipv4() == agent.ip.is_ipv4();
        let other =
            (0..1_000).map(|_| self.addresses.hosts(&mut self.rng)[0]).find(is_other).unwrap_or(agent);
        [[agent, server], [server, other]].map(|ends| {
            self.begun += 1;
            let key = mix(mix(self.profile.load.seed) ^ self.begun);
            Identity {
                key,
                call_key: key,
                transport: Transport::Udp,
                ends,
                media: ends.map(|end| end.at(self.addresses.media_port())),
                people: None,
                session_key: key,
                fields: String::new(),
                compact: false,
                lf_only: false,
                content_length: true,
            }
        })
    }

    /// Begins the first of two calls, and the second a little later.
    fn both(
        &mut self,
        pair: [Identity; 2],
        scripts: [Script; 2],
        delay: u64,
        note: impl Fn(&mut Call),
    ) -> io::Result<()> {
        let ([one, other], [incoming, outgoing]) = (pair, scripts);
        self.network.ledger.calls.seconds += 1;
        let first = self.place(Kind::Call, one, incoming, self.now);
        let second = self.place(Kind::Call, other, outgoing, self.now + delay);
        for place in [first, second] {
            let entry = self.dialogs[place as usize].as_ref().and_then(|dialog| dialog.entry);
            self.network.ledger.call(entry).into_iter().for_each(&note);
        }
        self.schedule.push(self.now + delay, Event::Step { dialog: second });
        self.step(first)
    }

    /// Who talks to whom, how, and in which style.
    fn identity(&mut self, kind: Kind, call_key: Option<u64>) -> (Identity, Option<(u32, usize)>) {
        self.begun += 1;
        let profile = self.profile;
        let key = mix(mix(profile.load.seed) ^ self.begun);
        // Half of the calls come from the servers' side.
        let from_server = kind == Kind::Call && self.rng.share(0.5);
        let (ends, transport, connection) = if self.rng.share(profile.tcp.tcp) {
            let number = self.rng.index(self.connections.len());
            let line = &self.connections[number];
            let transport = if line.websocket { Transport::WebSocket } else { Transport::Tcp };
            (line.ends(), transport, Some((number as u32, usize::from(from_server))))
        } else {
            (self.addresses.hosts(&mut self.rng), Transport::Udp, None)
        };
        let [client, server] = ends;
        let ends = if from_server { [server, client] } else { [client, server] };
        let text = &profile.text;
        let datagrams = transport == Transport::Udp;
        let identity = Identity {
            key,
            call_key: call_key.unwrap_or(key),
            transport,
            ends,
            media: ends.map(|end| end.at(self.addresses.media_port())),
            people: None,
            session_key: key,
            fields: String::new(),
            compact: self.rng.share(text.compact),
            lf_only: self.rng.share(text.lf_only),
            content_length: !(datagrams && self.rng.share(text.no_content_length)),
        };
        (identity, connection)
    }

    fn lay_connections(&mut self) {
        let tcp = &self.profile.tcp;
        for number in 0..tcp.connections.max(1) {
            let mut ends = self.addresses.trunk(number);
            let websocket = self.rng.share(tcp.websocket);
            if websocket {
                ends[SERVER].port = 80;
            }
            let line = Connection::new(number as u32, ends, websocket, &mut self.rng);
            self.connections.push(line);
        }
    }

    /// The ledger's view of a new dialog.
    fn enter(&mut self, kind: Kind, identity: &Identity, script: &Script) -> Entry {
        let ledger = &mut self.network.ledger;
        match kind {
            Kind::Call => ledger.begin(script.outcome),
            Kind::Registration => {
                ledger.registrations += 1;
                ledger.registrations_refused += u64::from(script.outcome == Outcome::Failed);
            }
            Kind::Options => ledger.options += 1,
        }
        if kind != Kind::Call || !self.profile.load.list {
            return None;
        }
        let ended_by = if script.ended_by_caller { "caller" } else { "callee" };
        ledger.enter(Call {
            call_id: identity.call_id(),
            from: identity.user(0),
            to: identity.user(1),
            transport: identity.transport.name(),
            source: identity.ends[0].to_string(),
            destination: identity.ends[1].to_string(),
            result: script.outcome.word(),
            status_code: script.code,
            start: 0,
            ringing: None,
            answered: None,
            end: None,
            ended_by: (script.outcome == Outcome::Success).then_some(ended_by),
            messages: 0,
            retransmissions: 0,
            rtp_packets: 0,
            rtcp_packets: 0,
            streams: Vec::new(),
            signs: script.signs.clone(),
            session: None,
            joined_by: None,
        })
    }

    /// Says the next message of a dialog.
    fn step(&mut self, place: u32) -> io::Result<()> {
        let Some(mut dialog) = self.dialogs[place as usize].take() else {
            return Ok(());
        };
        let step = dialog.steps[dialog.next];
        dialog.next += 1;
        self.say(&dialog, &step)?;
        if step.mark == Mark::Confirmed && self.rng.share(self.profile.media.rtp) {
            self.talk(&dialog);
        }
        match dialog.steps.get(dialog.next) {
            Some(next) => {
                self.schedule.push(dialog.begin + next.at, Event::Step { dialog: place });
                self.dialogs[place as usize] = Some(dialog);
            }
            None => {
                self.free_dialogs.push(place);
                self.end(&dialog);
            }
        }
        Ok(())
    }

    fn say(&mut self, dialog: &Dialog, step: &Step) -> io::Result<()> {
        let text = self.renderer.render(&dialog.identity, step);
        self.network.ledger.message(step, dialog.identity.transport, text.len(), dialog.entry);
        let [caller, callee] = dialog.identity.ends;
        let Some((number, side_of_caller)) = dialog.connection else {
            let (from, to) = if step.forward { (caller, callee) } else { (callee, caller) };
            let stamp = self.network.sip(self.now, from, to, text)?;
            self.network.ledger.stamp(dialog.entry, step.mark, stamp);
            return Ok(());
        };
        let mut world = World {
            now: self.now,
            knobs: &self.profile.tcp,
            rng: &mut self.rng,
            network: &mut self.network,
            schedule: &mut self.schedule,
        };
        let line = &mut self.connections[number as usize];
        if !line.is_open() {
            line.open(&mut world, &text[text.len() / 2 + 1..])?;
            if self.profile.tcp.keepalive > 0 {
                let first = world.rng.below(self.profile.tcp.keepalive * SECOND);
                world.schedule.push(world.now + first, Event::KeepAlive { connection: number });
            }
        }
        let side = if step.forward { side_of_caller } else { 1 - side_of_caller };
        line.say(&mut world, side, text, (dialog.entry, step.mark))
    }

    /// Media in both directions, from shortly after the ACK.
    fn talk(&mut self, dialog: &Dialog) {
        let identity = &dialog.identity;
        let talk = Talk {
            key: identity.key,
            ends: identity.media,
            payload_type: payload_type(identity),
            begin: self.now + 20 * MILLISECOND,
            length: dialog.talk,
            entry: dialog.entry,
        };
        for end in [0, 1] {
            if let Some(stream) = talk.stream(end, &self.profile.media, &mut self.network.ledger) {
                let begin = stream.begin();
                let place = put(&mut self.streams, &mut self.free_streams, stream);
                self.schedule.push(begin, Event::Media { stream: place });
            }
        }
    }

    /// Media that is planned before the dialog begins.
    fn plan(&mut self, identity: &Identity, entry: Entry, script: &Script, begin: u64) {
        for stretch in &script.stretches {
            if let Some(stream) = stretch.stream(identity, begin, entry, &mut self.network.ledger) {
                let begin = stream.begin();
                let place = put(&mut self.streams, &mut self.free_streams, stream);
                self.schedule.push(begin, Event::Media { stream: place });
            }
        }
    }

    fn media(&mut self, place: u32) -> io::Result<()> {
        let slot = &mut self.streams[place as usize];
        let Some(stream) = slot else {
            return Ok(());
        };
        match self.studio.tick(self.now, stream, &mut self.network)? {
            Some(at) => self.schedule.push(at, Event::Media { stream: place }),
            None => {
                *slot = None;
                self.free_streams.push(place);
            }
        }
        Ok(())
    }

    /// A dialog has said its last message.
    fn end(&mut self, dialog: &Dialog) {
        self.going_on -= 1;
        let ended = dialog.kind == Kind::Call && dialog.outcome != Outcome::Open;
        let again = dialog.identity.call_key != dialog.identity.key;
        if ended && !again && dialog.outcome != Outcome::Timeout && self.rng.share(self.profile.shape.reused)
        {
            let wait = self.rng.between(2 * SECOND, 10 * SECOND);
            self.schedule.push(self.now + wait, Event::Reuse { call_key: dialog.identity.call_key });
        }
    }

    fn keep_alive(&mut self, number: u32) -> io::Result<()> {
        if self.left.iter().sum::<u64>() == 0 && self.going_on == 0 {
            return Ok(());
        }
        self.on(number, |line, world| line.keep_alive(world, CLIENT))?;
        self.schedule.push(self.now + 20 * MILLISECOND, Event::Pong { connection: number });
        let again = self.now + self.profile.tcp.keepalive * SECOND;
        self.schedule.push(again, Event::KeepAlive { connection: number });
        Ok(())
    }

    fn close_connections(&mut self) -> io::Result<()> {
        self.now += SECOND;
        for number in 0..self.connections.len() {
            if self.connections[number].is_open() {
                self.on(number as u32, |line, world| line.close(world))?;
            }
        }
        Ok(())
    }

    /// Lets a connection act.
    fn on(
        &mut self,
        number: u32,
        act: impl FnOnce(&mut Connection, &mut World<'_, 'w>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut world = World {
            now: self.now,
            knobs: &self.profile.tcp,
            rng: &mut self.rng,
            network: &mut self.network,
            schedule: &mut self.schedule,
        };
        act(&mut self.connections[number as usize], &mut world)
    }
}

/// Puts a value at a free place of a table.
fn put<T>(table: &mut Vec<Option<T>>, free: &mut Vec<u32>, value: T) -> u32 {
    if let Some(place) = free.pop() {
        table[place as usize] = Some(value);
        return place;
    }
    table.push(Some(value));
    table.len() as u32 - 1
}
