//! Connections between places. A stream is reliable and ordered while it lives; when it breaks, what was in
//! flight is gone, and each side is told later, by itself. Datagrams get lost and overtake one another.

use crate::clock::Agenda;
use crate::faults::{Mishap, Tally};
use crate::host::Place;
use crate::random::Random;
use crate::world::event::Happening;
use bytes::Bytes;
use countree_client::machine::producer::Outgoing;
use countree_common::time::Time;
use countree_common::wire::hello::Conversation;
use countree_common::wire::producer::FromLeaf;
use countree_common::wire::viewer::ToBroadcast;
use countree_common::wire::{publish, rpc, uplink};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Numbers connections, and the conversations on them.
pub(crate) type LinkId = u64;

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Who connected.
    Opener = 0,
    /// Who was connected to.
    Acceptor = 1,
}

impl Side {
    /// The other end.
    pub(crate) fn other(self) -> Self {
        match self {
            Side::Opener => Side::Acceptor,
            Side::Acceptor => Side::Opener,
        }
    }
}

/// What travels.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// Producer → leaf.
    Produce(Outgoing),
    /// Leaf → producer.
    Produced(FromLeaf),
    /// Leaf → root.
    Uplink(uplink::ToRoot),
    /// Root → leaf.
    Outcomes(uplink::FromRoot),
    /// Broadcast node → root.
    Interest(publish::ToRoot),
    /// Root → broadcast node.
    Totals(publish::FromRoot),
    /// Viewer → broadcast node.
    Watch(ToBroadcast),
    /// Broadcast node → viewer, frames as bytes.
    Stream(Vec<Bytes>),
    /// Broadcast node → viewer, apart from the stream.
    Datagram(Bytes),
    /// Node → root: one question.
    Ask(rpc::Request),
    /// Root → node: its answer, the last thing on the conversation.
    Reply(rpc::Reply),
}

/// What the network makes happen.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    /// An attempt to connect reaches the other side.
    Knock(LinkId),
    /// The attempt has succeeded or failed; the opener learns of it.
    Answered { link: LinkId, is_accepted: bool },
    /// A message is there.
    Message { link: LinkId, to: Side, message: Box<Message> },
    /// A side notices that the connection is gone.
    Lost { link: LinkId, side: Side },
    /// The connection has waited too long for a sign of life.
    TimedOut(LinkId),
}

/// A connection, from the first attempt until both sides have let go.
#[derive(Debug)]
pub(crate) struct Link {
    places: [Place; 2],
    port: u16,
    conversation: Conversation,
    is_accepted: bool,
    is_broken: bool,
    has_left: [bool; 2],
    /// When the last thing that is on its way to each side gets there: on the stream, and apart from it.
    arrives: [Time; 2],
    datagram_arrives: [Time; 2],
    in_flight: usize,
}

impl Link {
    /// Who is at that end.
    pub(crate) fn place(&self, side: Side) -> Place {
        self.places[side as usize]
    }

    /// The port that was connected to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it is for.
    pub(crate) fn conversation(&self) -> Conversation {
        self.conversation
    }

    /// Whether that end still holds on to it.
    pub(crate) fn is_held(&self, side: Side) -> bool {
        !self.has_left[side as usize]
    }
}

/// How fast and how well packets travel at the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// The least delay of a message, in microseconds.
    pub(crate) least_us: u64,
    /// The usual most.
    pub(crate) most_us: u64,
    /// How many messages in a hundred take up to [`Weather::spike_us`].
    pub(crate) spikes: u64,
    /// The longest delay.
    pub(crate) spike_us: u64,
    /// How many datagrams in a hundred get lost.
    pub(crate) datagram_loss: u64,
}

impl Weather {
    /// A good network.
    pub(crate) const CALM: Self =
        Self { least_us: 100, most_us: 1_500, spikes: 0, spike_us: 0, datagram_loss: 0 };

    fn delay(&self, random: &mut Random) -> Duration {
        if random.chance(self.spikes) {
            random.micros(self.least_us, self.spike_us)
        } else {
            random.micros(self.least_us, self.most_us)
        }
    }
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Network {
    /// How packets travel now.
    pub(crate) weather: Weather,
    links: BTreeMap<LinkId, Link>,
    next: LinkId,
    cuts: BTreeSet<(Place, Place)>,
    /// What goes from one place to another waits until then.
    held_up: BTreeMap<(Place, Place), Time>,
    /// What went wrong with messages.
    pub(crate) tally: Tally,
    /// The most messages that were ever under way on one connection.
    pub(crate) most_in_flight: usize,
}

impl Network {
    /// Without any connection.
    pub(crate) fn new(weather: Weather) -> Self {
        let (links, cuts, held_up) = Default::default();
        Self { weather, links, next: 1, cuts, held_up, tally: Tally::default(), most_in_flight: 0 }
    }

    /// The connection, unless both sides have let go of it.
    pub(crate) fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link)
    }

    /// Connections that both sides hold for live ones.
    pub(crate) fn open_links(&self) -> Vec<LinkId> {
        let is_open = |l: &Link| l.is_accepted && !l.is_broken;
        self.links.iter().filter(|(_, l)| is_open(l)).map(|(id, _)| *id).collect()
    }

    /// Whether no conversation can begin between the two: that takes both ways.
    pub(crate) fn is_cut(&self, a: Place, b: Place) -> bool {
        let is_held_up = self.held_up.contains_key(&(a, b)) || self.held_up.contains_key(&(b, a));
        is_held_up || self.cuts.contains(&(a.min(b), a.max(b)))
    }

    /// Live connections that end at a place, or between it and another.
    pub(crate) fn links_of(&self, place: Place, other: Option<Place>) -> Vec<LinkId> {
        let ends_at = |l: &Link, place| l.places.contains(&place);
        let is_meant = |l: &Link| ends_at(l, place) && other.is_none_or(|other| ends_at(l, other));
        let is_live = |l: &Link| l.is_accepted && !l.is_broken;
        self.links.iter().filter(|(_, l)| is_live(l) && is_meant(l)).map(|(id, _)| *id).collect()
    }

    /// Begins to connect to a place where a process is believed to listen on that port.
    pub(crate) fn open(
        &mut self,
        agenda: &mut Agenda<Happening>,
        random: &mut Random,
        opener: Place,
        acceptor: (Place, u16),
        conversation: Conversation,
    ) -> LinkId {
        let id = self.next;
        self.next += 1;
        let link = Link {
            places: [opener, acceptor.0],
            port: acceptor.1,
            conversation,
            is_accepted: false,
            is_broken: false,
            has_left: [false; 2],
            arrives: [agenda.now(); 2],
            datagram_arrives: [agenda.now(); 2],
            in_flight: 0,
        };
        self.links.insert(id, link);
        agenda.after(self.weather.delay(random), Arrival::Knock(id).into());
        id
    }

    /// The other side lets the connection in.
    pub(crate) fn accept(&mut self, agenda: &mut Agenda<Happening>, random: &mut Random, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.is_accepted = true;
        let at = agenda.now() + self.weather.delay(random);
        link.arrives[Side::Opener as usize] = at;
        agenda.at(at, Arrival::Answered { link: id, is_accepted: true }.into());
    }

    /// Nobody answers, or whoever does is not meant.
    pub(crate) fn refuse(&mut self, agenda: &mut Agenda<Happening>, id: LinkId, after: Duration) {
        if let Some(link) = self.links.get_mut(&id) {
            (link.is_broken, link.has_left[Side::Acceptor as usize]) = (true, true);
            agenda.after(after, Arrival::Answered { link: id, is_accepted: false }.into());
        }
    }

    /// Sends on a connection; comes to nothing when it is broken.
    pub(crate) fn send(
        &mut self,
        agenda: &mut Agenda<Happening>,
        random: &mut Random,
        id: LinkId,
        from: Side,
        message: Message,
    ) {
        let Some(link) = self.links.get_mut(&id).filter(|l| !l.is_broken && l.is_held(from)) else { return };
        let to = from.other();
        let held_up = self.held_up.get(&(link.place(from), link.place(to)));
        let delay = self.weather.delay(random);
        let mut at = agenda.now() + delay;
        if delay > Duration::from_micros(self.weather.most_us) {
            self.tally.note(Mishap::MessageDelayed);
        }
        let mut copies = 1;
        if matches!(message, Message::Datagram(_)) {
            if held_up.is_some() || random.chance(self.weather.datagram_loss) {
                return self.tally.note(Mishap::DatagramLost);
            }
            if random.chance(self.weather.datagram_loss / 4) {
                self.tally.note(Mishap::DatagramRepeated);
                copies = 2;
            }
            if at < link.datagram_arrives[to as usize] {
                self.tally.note(Mishap::DatagramOvertook);
            }
            link.datagram_arrives[to as usize] = at;
        } else {
            at = at.max(link.arrives[to as usize]).max(held_up.copied().unwrap_or_default());
            link.arrives[to as usize] = at;
        }
        for _ in 0..copies {
            link.in_flight += 1;
            let message = Box::new(message.clone());
            agenda.at(at, Arrival::Message { link: id, to, message }.into());
            at = at + self.weather.delay(random);
        }
        self.most_in_flight = self.most_in_flight.max(link.in_flight);
    }

    /// Takes a message off the wire; says whether it arrives.
    pub(crate) fn deliver(&mut self, id: LinkId, to: Side) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        link.in_flight -= 1;
        let arrives = !link.is_broken && link.is_held(to);
        self.forget_if_done(id);
        arrives
    }

    /// Breaks a connection: what is in flight is gone, and whoever still holds on to it is told.
    pub(crate) fn sever(&mut self, agenda: &mut Agenda<Happening>, random: &mut Random, id: LinkId) {
        let Some(link) = self.links.get_mut(&id).filter(|l| !l.is_broken) else { return };
        link.is_broken = true;
        for side in [Side::Opener, Side::Acceptor] {
            // An attempt that nobody has answered yet fails by its answer.
            if link.is_held(side) && (side == Side::Opener || link.is_accepted) {
                let notice = if random.chance(70) { random.millis(1, 50) } else { random.millis(50, 1_500) };
                agenda.after(notice, Arrival::Lost { link: id, side }.into());
            }
        }
        self.forget_if_done(id);
    }

    /// A side lets go of a connection; the other is told.
    pub(crate) fn leave(
        &mut self,
        agenda: &mut Agenda<Happening>,
        random: &mut Random,
        id: LinkId,
        side: Side,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.has_left[side as usize] = true;
        self.sever(agenda, random, id);
        self.forget_if_done(id);
    }

    /// A side learns that the connection is gone; says whether that was news.
    pub(crate) fn lost(&mut self, id: LinkId, side: Side) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        let was_held = !std::mem::replace(&mut link.has_left[side as usize], true);
        self.forget_if_done(id);
        was_held
    }

    fn forget_if_done(&mut self, id: LinkId) {
        let is_done =
            |l: &Link| l.is_broken && l.in_flight == 0 && l.has_left[0] && (l.has_left[1] || !l.is_accepted);
        if self.links.get(&id).is_some_and(is_done) {
            self.links.remove(&id);
        }
    }

    /// A process is dead: its connections with it.
    pub(crate) fn bury(&mut self, agenda: &mut Agenda<Happening>, random: &mut Random, place: Place) {
        for side in [Side::Opener, Side::Acceptor] {
            let is_its = |l: &Link| l.place(side) == place && l.is_held(side);
            let ids: Vec<_> = self.links.iter().filter(|(_, l)| is_its(l)).map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| self.leave(agenda, random, id, side));
        }
    }

    /// Lets nothing pass between two places from now on; returns whether something did before.
    pub(crate) fn cut(
        &mut self,
        agenda: &mut Agenda<Happening>,
        random: &mut Random,
        a: Place,
        b: Place,
    ) -> bool {
        let is_new = self.cuts.insert((a.min(b), a.max(b)));
        self.links_of(a, Some(b)).into_iter().for_each(|id| self.sever(agenda, random, id));
        is_new
    }

    /// Holds up what goes from one place to another until then; returns whether that is news.
    pub(crate) fn hold_up(&mut self, from: Place, to: Place, until: Time) -> bool {
        self.held_up.insert((from, to), until).is_none()
    }

    /// Lets things pass again.
    pub(crate) fn mend(&mut self, a: Place, b: Place) {
        self.cuts.remove(&(a.min(b), a.max(b)));
        self.held_up.remove(&(a, b));
    }

    /// Lets everything pass again, calmly.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.held_up.clear();
        self.weather = Weather::CALM;
    }
}
