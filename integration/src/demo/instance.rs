//! An instance of a service, on stage or in a container.

use crate::{
    Result,
    upstream::{Received, Remote, Upstream},
};

/// Where it runs.
#[derive(Debug)]
pub enum Instance {
    /// In this process.
    Here(Upstream),
    /// In another one.
    Away(Remote),
}

impl Instance {
    /// The requests that it received below a path.
    ///
    /// # Errors
    /// It does not say.
    pub fn requests_below(&self, path: &str) -> Result<Vec<Received>> {
        match self {
            Self::Here(upstream) => {
                let mut requests = upstream.requests();
                requests.retain(|received| received.path().starts_with(path.as_bytes()));
                Ok(requests)
            }
            Self::Away(remote) => remote.requests_below(path),
        }
    }

    /// How many they are.
    ///
    /// # Errors
    /// It does not say.
    pub fn count_below(&self, path: &str) -> Result<usize> {
        match self {
            Self::Here(_) => Ok(self.requests_below(path)?.len()),
            Self::Away(remote) => remote.count_below(path),
        }
    }

    /// From now on it answers every request with this status; `None` makes it well again.
    ///
    /// # Errors
    /// It does not listen.
    pub fn always(&self, status: Option<u16>) -> Result<()> {
        match self {
            Self::Here(upstream) => upstream.always(status),
            Self::Away(remote) => remote.always(status)?,
        }
        Ok(())
    }
}
