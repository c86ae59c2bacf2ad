//! Connections between places. A stream is reliable and ordered while it lives; when it breaks, what was in
//! flight is gone, and each side is told later, by itself. Datagrams get lost and overtake one another.

mod conditions;
mod connection;
mod message;

use crate::clock::Agenda;
use crate::faults::{Mishap, Tally};
use crate::host::Place;
use crate::random::Random;
use countree_common::time::Time;
use countree_common::wire::hello::Conversation;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) use conditions::Weather;
pub(crate) use connection::{Link, LinkId, Side};
pub(crate) use message::{Arrival, Message};

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
    pub(crate) fn open<E: From<Arrival>>(
        &mut self,
        agenda: &mut Agenda<E>,
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
    pub(crate) fn accept<E: From<Arrival>>(
        &mut self,
        agenda: &mut Agenda<E>,
        random: &mut Random,
        id: LinkId,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.is_accepted = true;
        let at = agenda.now() + self.weather.delay(random);
        link.arrives[Side::Opener as usize] = at;
        agenda.at(at, Arrival::Answered { link: id, is_accepted: true }.into());
    }

    /// Nobody answers, or whoever does is not meant.
    pub(crate) fn refuse<E: From<Arrival>>(&mut self, agenda: &mut Agenda<E>, id: LinkId, after: Duration) {
        if let Some(link) = self.links.get_mut(&id) {
            (link.is_broken, link.has_left[Side::Acceptor as usize]) = (true, true);
            agenda.after(after, Arrival::Answered { link: id, is_accepted: false }.into());
        }
    }

    /// Sends on a connection; comes to nothing when it is broken.
    pub(crate) fn send<E: From<Arrival>>(
        &mut self,
        agenda: &mut Agenda<E>,
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
    pub(crate) fn sever<E: From<Arrival>>(
        &mut self,
        agenda: &mut Agenda<E>,
        random: &mut Random,
        id: LinkId,
    ) {
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
    pub(crate) fn leave<E: From<Arrival>>(
        &mut self,
        agenda: &mut Agenda<E>,
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
    pub(crate) fn bury<E: From<Arrival>>(
        &mut self,
        agenda: &mut Agenda<E>,
        random: &mut Random,
        place: Place,
    ) {
        for side in [Side::Opener, Side::Acceptor] {
            let is_its = |l: &Link| l.place(side) == place && l.is_held(side);
            let ids: Vec<_> = self.links.iter().filter(|(_, l)| is_its(l)).map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| self.leave(agenda, random, id, side));
        }
    }

    /// Lets nothing pass between two places from now on; returns whether something did before.
    pub(crate) fn cut<E: From<Arrival>>(
        &mut self,
        agenda: &mut Agenda<E>,
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
