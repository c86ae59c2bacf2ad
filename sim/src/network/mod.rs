//! Connections between hosts. A stream is reliable and ordered while it lives; when it breaks, messages in
//! flight are lost, and each side notices later, by itself. Datagrams get lost and overtake one another.

mod conditions;
mod connection;
mod message;

use crate::clock::EventQueue;
use crate::faults::{BackgroundFault, Tally};
use crate::host::Host;
use crate::random::Random;
use countree_common::time::Time;
use countree_common::wire::hello::Conversation;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) use conditions::NetworkConditions;
pub(crate) use connection::{Connection, ConnectionId, Side};
pub(crate) use message::{Delivery, Message};

/// All connections.
#[derive(Debug)]
pub(crate) struct Network {
    /// The present conditions.
    pub(crate) conditions: NetworkConditions,
    links: BTreeMap<ConnectionId, Connection>,
    next: u64,
    cuts: BTreeSet<(Host, Host)>,
    /// Messages from one host to another wait until then.
    held_up: BTreeMap<(Host, Host), Time>,
    /// Counts of background faults of messages.
    pub(crate) tally: Tally,
    /// The most messages that were ever under way on one connection.
    pub(crate) most_in_flight: usize,
}

impl Network {
    /// A network without any connection.
    pub(crate) fn new(conditions: NetworkConditions) -> Self {
        let (links, cuts, held_up) = Default::default();
        Self { conditions, links, next: 1, cuts, held_up, tally: Tally::default(), most_in_flight: 0 }
    }

    /// The connection, unless both sides have let go of it.
    pub(crate) fn link(&self, link: ConnectionId) -> Option<&Connection> {
        self.links.get(&link)
    }

    /// Connections that both sides hold for live ones.
    pub(crate) fn open_links(&self) -> Vec<ConnectionId> {
        let is_open = |l: &Connection| l.is_accepted && !l.is_broken;
        self.links.iter().filter(|(_, l)| is_open(l)).map(|(id, _)| *id).collect()
    }

    /// Whether no conversation can begin between the two: that takes both ways.
    pub(crate) fn is_cut(&self, a: Host, b: Host) -> bool {
        let is_held_up = self.held_up.contains_key(&(a, b)) || self.held_up.contains_key(&(b, a));
        is_held_up || self.cuts.contains(&(a.min(b), a.max(b)))
    }

    /// Live connections that end at a host, or between it and another.
    pub(crate) fn links_of(&self, host: Host, other: Option<Host>) -> Vec<ConnectionId> {
        let ends_at = |l: &Connection, host| l.hosts.contains(&host);
        let is_meant = |l: &Connection| ends_at(l, host) && other.is_none_or(|other| ends_at(l, other));
        let is_live = |l: &Connection| l.is_accepted && !l.is_broken;
        self.links.iter().filter(|(_, l)| is_live(l) && is_meant(l)).map(|(id, _)| *id).collect()
    }

    /// Begins to connect to a host where a process is believed to listen on that port.
    pub(crate) fn open<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        random: &mut Random,
        opener: Host,
        acceptor: (Host, u16),
        conversation: Conversation,
    ) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        let link = Connection {
            hosts: [opener, acceptor.0],
            port: acceptor.1,
            conversation,
            is_accepted: false,
            is_broken: false,
            has_left: [false; 2],
            arrives: [queue.now(); 2],
            datagram_arrives: [queue.now(); 2],
            in_flight: 0,
        };
        self.links.insert(id, link);
        queue.after(self.conditions.delay(random), Delivery::Connect(id).into());
        id
    }

    /// The other side lets the connection in.
    pub(crate) fn accept<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        random: &mut Random,
        id: ConnectionId,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.is_accepted = true;
        let at = queue.now() + self.conditions.delay(random);
        link.arrives[Side::Opener as usize] = at;
        queue.at(at, Delivery::ConnectResult { link: id, is_accepted: true }.into());
    }

    /// Refuses a connection: no process listens there, or another one than was meant.
    pub(crate) fn refuse<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        id: ConnectionId,
        after: Duration,
    ) {
        if let Some(link) = self.links.get_mut(&id) {
            (link.is_broken, link.has_left[Side::Acceptor as usize]) = (true, true);
            queue.after(after, Delivery::ConnectResult { link: id, is_accepted: false }.into());
        }
    }

    /// Sends on a connection; comes to nothing when it is broken.
    pub(crate) fn send<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        random: &mut Random,
        id: ConnectionId,
        from: Side,
        message: Message,
    ) {
        let Some(link) = self.links.get_mut(&id).filter(|l| !l.is_broken && l.is_held(from)) else { return };
        let to = from.other();
        let held_up = self.held_up.get(&(link.host(from), link.host(to)));
        let delay = self.conditions.delay(random);
        let mut at = queue.now() + delay;
        if delay > Duration::from_micros(self.conditions.most_us) {
            self.tally.note(BackgroundFault::MessageDelayed);
        }
        let mut copies = 1;
        if matches!(message, Message::Datagram(_)) {
            if held_up.is_some() || random.chance(self.conditions.datagram_loss) {
                return self.tally.note(BackgroundFault::DatagramLost);
            }
            if random.chance(self.conditions.datagram_loss / 4) {
                self.tally.note(BackgroundFault::DatagramRepeated);
                copies = 2;
            }
            if at < link.datagram_arrives[to as usize] {
                self.tally.note(BackgroundFault::DatagramOvertook);
            }
            link.datagram_arrives[to as usize] = at;
        } else {
            at = at.max(link.arrives[to as usize]).max(held_up.copied().unwrap_or_default());
            link.arrives[to as usize] = at;
        }
        for _ in 0..copies {
            link.in_flight += 1;
            let message = Box::new(message.clone());
            queue.at(at, Delivery::Message { link: id, to, message }.into());
            at = at + self.conditions.delay(random);
        }
        self.most_in_flight = self.most_in_flight.max(link.in_flight);
    }

    /// Takes a message off the wire; says whether it arrives.
    pub(crate) fn deliver(&mut self, id: ConnectionId, to: Side) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        link.in_flight -= 1;
        let arrives = !link.is_broken && link.is_held(to);
        self.forget_if_done(id);
        arrives
    }

    /// Breaks a connection: messages in flight are lost, and the sides that still use it notice.
    pub(crate) fn sever<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        random: &mut Random,
        id: ConnectionId,
    ) {
        let Some(link) = self.links.get_mut(&id).filter(|l| !l.is_broken) else { return };
        link.is_broken = true;
        for side in [Side::Opener, Side::Acceptor] {
            // An attempt that nobody has answered yet fails by its answer.
            if link.is_held(side) && (side == Side::Opener || link.is_accepted) {
                let notice = if random.chance(70) { random.millis(1, 50) } else { random.millis(50, 1_500) };
                queue.after(notice, Delivery::Lost { link: id, side }.into());
            }
        }
        self.forget_if_done(id);
    }

    /// Closes a connection on one side; the other side notices.
    pub(crate) fn leave<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        random: &mut Random,
        id: ConnectionId,
        side: Side,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.has_left[side as usize] = true;
        self.sever(queue, random, id);
        self.forget_if_done(id);
    }

    /// Notes that a side has noticed that the connection is gone; says whether that was news.
    pub(crate) fn lost(&mut self, id: ConnectionId, side: Side) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        let was_held = !std::mem::replace(&mut link.has_left[side as usize], true);
        self.forget_if_done(id);
        was_held
    }

    fn forget_if_done(&mut self, id: ConnectionId) {
        let is_done = |l: &Connection| {
            l.is_broken && l.in_flight == 0 && l.has_left[0] && (l.has_left[1] || !l.is_accepted)
        };
        if self.links.get(&id).is_some_and(is_done) {
            self.links.remove(&id);
        }
    }

    /// Closes the connections of a process that has died.
    pub(crate) fn terminate<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        random: &mut Random,
        host: Host,
    ) {
        for side in [Side::Opener, Side::Acceptor] {
            let is_its = |l: &Connection| l.host(side) == host && l.is_held(side);
            let ids: Vec<_> = self.links.iter().filter(|(_, l)| is_its(l)).map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| self.leave(queue, random, id, side));
        }
    }

    /// Lets nothing pass between two hosts from now on; returns whether something did before.
    pub(crate) fn cut<E: From<Delivery>>(
        &mut self,
        queue: &mut EventQueue<E>,
        random: &mut Random,
        a: Host,
        b: Host,
    ) -> bool {
        let is_new = self.cuts.insert((a.min(b), a.max(b)));
        self.links_of(a, Some(b)).into_iter().for_each(|id| self.sever(queue, random, id));
        is_new
    }

    /// Holds up what goes from one host to another until then; returns whether that is news.
    pub(crate) fn hold_up(&mut self, from: Host, to: Host, until: Time) -> bool {
        self.held_up.insert((from, to), until).is_none()
    }

    /// Lets things pass again.
    pub(crate) fn mend(&mut self, a: Host, b: Host) {
        self.cuts.remove(&(a.min(b), a.max(b)));
        self.held_up.remove(&(a, b));
    }

    /// Lets everything pass again, calmly.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.held_up.clear();
        self.conditions = NetworkConditions::GOOD;
    }
}
