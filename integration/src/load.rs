//! Requests that go on while something is changed, and what became of them.

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::client::{Client, Request, Response};

/// How often something is changed.
const BETWEEN_EDITS: Duration = Duration::from_millis(200);

/// Somebody who sends one request after the other.
#[derive(Debug)]
pub struct Sender {
    /// The client.
    pub client: Client,
    /// What is sent; its path gets a number.
    pub request: Request,
    /// Whether the connection is kept, or is a new one for each request.
    pub kept: bool,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How often something was changed.
    pub edits: usize,
    /// How many requests were sent.
    pub sent: usize,
    /// Why requests were lost, one line each.
    pub lost: Vec<String>,
    /// How many were well, by what was answered.
    pub answers: BTreeMap<String, usize>,
}

impl Outcome {
    /// What went wrong, if anything: a request that was lost, or too few to show anything.
    ///
    /// # Errors
    /// The text says what.
    pub fn check(&self) -> Result<(), String> {
        if !self.lost.is_empty() {
            let some: Vec<_> = self.lost.iter().take(5).collect();
            return Err(format!("{} of {} requests lost: {some:#?}", self.lost.len(), self.sent));
        }
        if self.sent <= 500 || self.answers.len() != 2 || self.answers.values().any(|count| *count <= 50) {
            return Err(format!(
                "too little to show anything: {} sent, answered {:?}",
                self.sent, self.answers
            ));
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Tally {
    sent: AtomicUsize,
    lost: Mutex<Vec<String>>,
    answers: Mutex<BTreeMap<String, usize>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(
    sender: &Sender,
    read: &(impl Fn(&Response) -> Result<String, String> + Sync),
    tally: &Tally,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let number = tally.sent.fetch_add(1, Ordering::Relaxed);
        let mut request = sender.request.clone();
        request.target.extend_from_slice(number.to_string().as_bytes());
        if !sender.kept {
            request = request.header("connection", "close");
        }
        let answer = sender.client.send(&request).map_err(|error| error.to_string());
        match answer.and_then(|response| read(&response)) {
            Ok(answer) => *lock(&tally.answers).entry(answer).or_default() += 1,
            Err(error) => lock(&tally.lost).push(error),
        }
    }
}

/// Calls `edit` every 200 ms while all of them send, for six seconds or `$LIVE_EDITS_SECONDS`. `read` gives what was answered,
/// or why that counts as lost.
pub fn while_editing(
    senders: &[Sender],
    read: impl Fn(&Response) -> Result<String, String> + Sync,
    mut edit: impl FnMut(usize),
) -> Outcome {
    let seconds = env::var("LIVE_EDITS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let edits = thread::scope(|scope| {
        for sender in senders {
            let (read, tally, stop) = (&read, &tally, &stop);
            scope.spawn(move || send(sender, read, tally, stop));
        }
        let begun = Instant::now();
        let mut edits = 0_u32;
        while begun.elapsed() < Duration::from_secs(seconds) {
            edit(edits as usize);
            edits += 1;
            thread::sleep((begun + BETWEEN_EDITS * edits).saturating_duration_since(Instant::now()));
        }
        stop.store(true, Ordering::Relaxed);
        edits as usize
    });
    let Tally { sent, lost, answers } = tally;
    Outcome {
        edits,
        sent: sent.into_inner(),
        lost: lost.into_inner().unwrap_or_else(PoisonError::into_inner),
        answers: answers.into_inner().unwrap_or_else(PoisonError::into_inner),
    }
}
