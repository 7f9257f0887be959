//! Who stands where in the drawing: one column for each party.

use std::collections::HashSet;

use crate::flow::{Address, Endpoint};

use super::trace::Call;

/// Columns of a drawing. A flood from many addresses under one Call-ID must not make lines without end: those
/// beyond share the last column.
pub(super) const MAX_COLUMNS: usize = 26;

/// What a column stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    /// A host, whatever port it uses.
    Host(Address),
    /// One port of a host that talks to itself.
    Port(Endpoint),
    /// Everybody else.
    Others,
}

#[derive(Debug)]
struct Column {
    party: Party,
    /// The only port seen; none when there were several.
    port: Option<u16>,
}

/// The columns, from left to right in the order of appearance.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    call: &'a Call,
    /// Hosts whose ports talk to each other, so that each needs a column of its own.
    divided: HashSet<Address>,
    list: Vec<Column>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(call: &'a Call) -> Self {
        let messages = call.trace.messages.iter().map(|message| (message.source, message.destination));
        let streams = call.record.media.iter().map(|stream| (stream.source, stream.destination));
        let faxes = call.record.fax.iter().map(|fax| (fax.source, fax.destination));
        let streams = streams.chain(faxes);
        let divided = messages
            .clone()
            .chain(streams.clone())
            .filter(|(source, destination)| source.address == destination.address)
            .map(|(source, _)| source.address)
            .collect();
        let mut columns = Self { call, divided, list: Vec::new() };
        for (source, destination) in messages {
            columns.add(source, true);
            columns.add(destination, true);
        }
        for (source, destination) in streams {
            columns.add(source, false);
            columns.add(destination, false);
        }
        columns
    }

    /// The parties' names: with the port when a host uses one only.
    pub(super) fn names(&self) -> Vec<String> {
        self.list.iter().map(Column::name).collect()
    }

    /// The column of an endpoint.
    pub(super) fn find(&self, endpoint: Endpoint) -> usize {
        let party = self.party(endpoint);
        let last = self.list.len().saturating_sub(1);
        self.list.iter().position(|column| column.party == party).unwrap_or(last)
    }

    fn party(&self, endpoint: Endpoint) -> Party {
        if !self.divided.contains(&endpoint.address) {
            return Party::Host(endpoint.address);
        }
        // Media of such a host belongs to the port that announced it.
        let announcer = self.call.trace.announced.get(&endpoint);
        Party::Port(announcer.map_or(endpoint, |announcer| announcer.endpoint))
    }

    fn add(&mut self, endpoint: Endpoint, is_signalling: bool) {
        let party = self.party(endpoint);
        if let Some(column) = self.list.iter_mut().find(|column| column.party == party) {
            // Media ports are in the list of streams; a host is called by the port of its signalling.
            if is_signalling && column.port != Some(endpoint.port) {
                column.port = None;
            }
        } else if self.list.len() + 1 < MAX_COLUMNS {
            self.list.push(Column { party, port: Some(endpoint.port).filter(|_| is_signalling) });
        } else if self.list.len() < MAX_COLUMNS {
            self.list.push(Column { party: Party::Others, port: None });
        }
    }
}

impl Column {
    fn name(&self) -> String {
        match (self.party, self.port) {
            (Party::Host(address), Some(port)) => Endpoint::new(address, port).to_string(),
            (Party::Host(address), None) => address.to_string(),
            (Party::Port(endpoint), _) => endpoint.to_string(),
            (Party::Others, _) => "others".to_owned(),
        }
    }
}
