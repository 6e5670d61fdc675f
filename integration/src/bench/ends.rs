//! Both ends of Envoy's connections, the client's and the upstream's, in one thread: they cost the machine little, and none of
//! it is counted as Envoy's.
//!
//! The client keeps as many requests on their way as it has connections and sends the next as soon as an answer is there.

mod client;
mod upstream;

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

pub use self::client::Answer;
use self::{client::Client, upstream::Served};
use crate::{Context, Error, Result, client::Tls};

/// An Envoy that does not answer for so long has lost a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connections of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections(Vec<usize>);

/// What came of sending for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// How long it took, to the last answer.
    pub elapsed: Duration,
    /// How long each answer took, in nanoseconds.
    pub latencies: Vec<u32>,
}

/// The ends.
#[derive(Debug)]
pub struct Ends {
    poll: OwnedFd,
    listeners: Vec<TcpListener>,
    served: Vec<Option<Served>>,
    clients: Vec<Client>,
}

/// What an event is about.
#[derive(Clone, Copy)]
enum Token {
    Listener(usize),
    Served(usize),
    Client(usize),
}

impl Token {
    fn data(self) -> epoll::EventData {
        let (kind, index) = match self {
            Self::Listener(index) => (0, index),
            Self::Served(index) => (1, index),
            Self::Client(index) => (2, index),
        };
        epoll::EventData::new_u64((index as u64) * 3 + kind)
    }

    fn of(data: epoll::EventData) -> Self {
        let (index, kind) = ((data.u64() / 3) as usize, data.u64() % 3);
        match kind {
            0 => Self::Listener(index),
            1 => Self::Served(index),
            _ => Self::Client(index),
        }
    }
}

impl Ends {
    /// Opens this many upstreams; each tells its number in the body of its answers.
    ///
    /// # Errors
    /// No port, or no file descriptor, is left.
    pub fn open(upstreams: usize) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).context("waiting for many connections")?;
        let mut listeners = Vec::new();
        for index in 0..upstreams {
            let listener = TcpListener::bind(("127.0.0.1", 0)).context("opening an upstream")?;
            listener.set_nonblocking(true).context("preparing an upstream")?;
            epoll::add(&poll, &listener, Token::Listener(index).data(), epoll::EventFlags::IN)
                .context("waiting for an upstream")?;
            listeners.push(listener);
        }
        Ok(Self { poll, listeners, served: Vec::new(), clients: Vec::new() })
    }

    /// Where the upstream of this number listens; numbers beyond those there are begin anew.
    ///
    /// # Errors
    /// There is none, or the system does not say.
    pub fn upstream(&self, number: usize) -> Result<SocketAddr> {
        let listener = self.listeners.iter().cycle().nth(number % self.listeners.len().max(1));
        listener.context("there is an upstream")?.local_addr().context("the address of an upstream")
    }

    /// Opens connections that are kept.
    ///
    /// # Errors
    /// Nobody listens, or TLS fails.
    pub fn connect(&mut self, address: SocketAddr, tls: Option<&Tls>, count: usize) -> Result<Connections> {
        let mut opened = Vec::new();
        for _ in 0..count {
            let client = Client::connect(address, tls)?;
            let index = self.clients.len();
            epoll::add(&self.poll, client.socket(), Token::Client(index).data(), epoll::EventFlags::IN)
                .context("waiting for a connection")?;
            self.clients.push(client);
            opened.push(index);
        }
        Ok(Connections(opened))
    }

    /// Closes all connections of the client's, before their Envoy does.
    pub fn hang_up(&mut self) {
        self.clients.clear();
    }

    /// Sends a request once and gives the answer.
    ///
    /// # Errors
    /// No complete answer comes.
    pub fn ask(&mut self, connections: &Connections, request: &[u8]) -> Result<Answer> {
        let first = *connections.0.first().context("there is a connection")?;
        self.send(&[first], request, None, |_, _| false)?;
        self.clients.get(first).and_then(Client::answer).context("an answer came")
    }

    /// Sends a request again and again for `long`, on all of these connections, and expects this status every time.
    ///
    /// # Errors
    /// An answer is missing, incomplete, or another.
    pub fn load(
        &mut self,
        connections: &Connections,
        request: &[u8],
        status: u16,
        long: Duration,
    ) -> Result<Sample> {
        self.send(&connections.0, request, Some(status), |_, elapsed| elapsed < long)
    }

    /// Sends a request again and again, on the first of these connections, until it was answered this many times or `most`
    /// is over, and expects this status every time.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn repeat(
        &mut self,
        connections: &Connections,
        request: &[u8],
        status: u16,
        (times, most): (usize, Duration),
    ) -> Result<Sample> {
        let first = *connections.0.first().context("there is a connection")?;
        let again = |answered, elapsed| answered < times && elapsed < most;
        self.send(&[first], request, Some(status), again)
    }

    fn send(
        &mut self,
        connections: &[usize],
        request: &[u8],
        status: Option<u16>,
        again: impl Fn(usize, Duration) -> bool,
    ) -> Result<Sample> {
        let (begun, mut waiting) = (Instant::now(), 0);
        let mut latencies = Vec::new();
        for index in connections {
            self.clients.get_mut(*index).context("the connection is open")?.send(request)?;
            waiting += 1;
        }
        let mut events = Vec::with_capacity(64);
        while waiting > 0 {
            self.wait(&mut events)?;
            for event in &events {
                match Token::of(event.data) {
                    Token::Listener(index) => self.accept(index)?,
                    Token::Served(index) => self.serve(index),
                    Token::Client(index) => {
                        let Some(client) = self.clients.get_mut(index) else { continue };
                        let Some(answered) = client.receive()? else { continue };
                        if let Some(expected) = status.filter(|expected| *expected != answered.status) {
                            let found = answered.status;
                            return Err(Error::new(format!("expected status {expected}, found {found}")));
                        }
                        latencies.push(u32::try_from(answered.took.as_nanos()).unwrap_or(u32::MAX));
                        if again(latencies.len(), begun.elapsed()) {
                            client.send(request)?;
                        } else {
                            waiting -= 1;
                        }
                    }
                }
            }
        }
        Ok(Sample { elapsed: begun.elapsed(), latencies })
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) -> Result<()> {
        let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        events.clear();
        let happened = epoll::wait(&self.poll, spare_capacity(events), Some(&patience));
        if happened.context("waiting for an answer")? == 0 {
            return Err(Error::new(format!("no answer in {PATIENCE:?}")));
        }
        Ok(())
    }

    fn accept(&mut self, number: usize) -> Result<()> {
        let listener = self.listeners.get(number).context("the upstream is open")?;
        while let Ok((stream, _)) = listener.accept() {
            let served = Served::new(stream, number)?;
            let place = self.served.iter().position(Option::is_none).unwrap_or(self.served.len());
            epoll::add(&self.poll, served.socket(), Token::Served(place).data(), epoll::EventFlags::IN)
                .context("waiting for a request")?;
            match self.served.get_mut(place) {
                Some(free) => *free = Some(served),
                None => self.served.push(Some(served)),
            }
        }
        Ok(())
    }

    /// A connection that ends, or that sends what is no request, is closed: Envoy notices, and the client of its request.
    fn serve(&mut self, place: usize) {
        if let Some(slot) = self.served.get_mut(place)
            && slot.as_mut().is_some_and(|served| !served.serve())
        {
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's end right before the upstream's, with no Envoy between them.
    #[test]
    fn requests_are_answered_until_the_time_is_over() {
        let mut ends = Ends::open(2).unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for number in 0..2 {
            let address = ends.upstream(number).unwrap();
            let connections = ends.connect(address, None, 3).unwrap();
            let answer = ends.ask(&connections, request).unwrap();
            assert_eq!(
                (answer.status, answer.body),
                (200, format!("{{\"upstream\":{number}}}").into_bytes())
            );
            let sample = ends.load(&connections, request, 200, Duration::from_millis(20)).unwrap();
            assert!(sample.latencies.len() >= 3 && sample.elapsed >= Duration::from_millis(20), "{sample:?}");
        }
        assert_eq!(ends.upstream(2).unwrap(), ends.upstream(0).unwrap());
    }

    #[test]
    fn requests_are_sent_as_often_as_said_unless_time_is_over() {
        let mut ends = Ends::open(1).unwrap();
        let address = ends.upstream(0).unwrap();
        let connections = ends.connect(address, None, 2).unwrap();
        let mut times =
            |bound| ends.repeat(&connections, b"GET / HTTP/1.1\r\n\r\n", 200, bound).unwrap().latencies.len();
        assert_eq!(times((25, Duration::from_secs(60))), 25);
        assert_eq!(times((25, Duration::ZERO)), 1);
        ends.hang_up();
        let connections = ends.connect(address, None, 1).unwrap();
        assert_eq!(ends.ask(&connections, b"GET / HTTP/1.1\r\n\r\n").unwrap().status, 200);
    }

    #[test]
    fn another_status_is_an_error() {
        let mut ends = Ends::open(1).unwrap();
        let address = ends.upstream(0).unwrap();
        let connections = ends.connect(address, None, 1).unwrap();
        let error = ends.load(&connections, b"GET / HTTP/1.1\r\n\r\n", 403, Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "expected status 403, found 200");
    }
}
