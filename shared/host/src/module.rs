//! All contexts of one VM: plugin configurations, and the streams of each.

use crate::filter::Filter;
use crate::host_call::Action;
use crate::root::Root;
use crate::stream::Stream;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// All contexts of one VM.
///
/// A proxy creates the context of a stream right before it asks about the request, and most requests are done with then: so a
/// stream that has nothing left to do is not kept, and one that was just created is found without a search.
#[derive(Debug)]
pub struct Module<F> {
    /// One for each plugin configuration that this VM serves; old ones leave once their last stream has.
    roots: Vec<(u32, Root<F>)>,
    /// The stream that was created last, and its root.
    newest: Option<(u32, u32)>,
    /// Streams that were created before that one and whose request has not come yet, each with its root.
    created: BTreeMap<u32, u32>,
    /// Streams that are not done with: held, or with changes to the response.
    streams: HashMap<u32, Stream<F>, BuildHasherDefault<ByContext>>,
}

/// Spreads the numbers of contexts, which the proxy counts up, over a map.
#[derive(Debug, Clone, Copy, Default)]
struct ByContext(u64);

impl Hasher for ByContext {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(self.0 as u32 ^ u32::from(*byte)));
    }

    fn write_u32(&mut self, context: u32) {
        self.0 = u64::from(context).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The high bits depend on all of the number.
        self.0 >> 32
    }
}

impl<F: Filter> Module<F> {
    /// No context yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            roots: Vec::new(),
            newest: None,
            created: BTreeMap::new(),
            streams: HashMap::with_hasher(BuildHasherDefault::new()),
        }
    }

    /// A new context: a root when `parent` is 0, else a stream of the root `parent`.
    pub fn create(&mut self, context: u32, parent: u32) {
        if parent == 0 {
            self.roots.push((context, Root::new(context)));
        } else if let Some((older, root)) = self.newest.replace((context, parent)) {
            self.created.insert(older, root);
        }
    }

    /// A root's plugin configuration has arrived; `false` refuses it.
    pub fn configure(&mut self, root: u32) -> bool {
        self.roots.iter_mut().find(|(id, _)| *id == root).is_some_and(|(_, root)| root.configure())
    }

    /// The time that a root asked for has come.
    pub fn tick(&self, root: u32) {
        if let Some(root) = self.root(root) {
            root.tick();
        }
    }

    /// The request's headers have arrived.
    pub fn request_headers(&mut self, context: u32) -> Action {
        let parent = match self.newest {
            Some((newest, parent)) if newest == context => {
                self.newest = None;
                Some(parent)
            }
            _ => self.created.remove(&context),
        };
        let mut stream = match parent.and_then(|parent| self.root(parent)) {
            Some(root) => root.stream(context),
            // Without a configuration, so it is refused.
            None => Root::new(0).stream(context),
        };
        let action = stream.on_request();
        if !stream.is_done() {
            self.streams.insert(context, stream);
        }
        action
    }

    /// The response's headers have arrived.
    pub fn response_headers(&mut self, context: u32) {
        if let Some(mut stream) = self.streams.remove(&context) {
            stream.on_response();
        }
    }

    /// The context is gone.
    pub fn delete(&mut self, context: u32) {
        if self.newest.is_some_and(|(newest, _)| newest == context) {
            self.newest = None;
        }
        self.created.remove(&context);
        self.streams.remove(&context);
        self.roots.retain(|(id, _)| *id != context);
    }

    fn root(&self, id: u32) -> Option<&Root<F>> {
        self.roots.iter().find(|(root, _)| *root == id).map(|(_, root)| root)
    }
}

impl<F: Filter> Default for Module<F> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
