use super::*;
use crate::fake::{self, Effect};
use crate::plan::Plan;
use mesh_policy_core::effect::{HeaderEdit, Random};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::RequestView;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Resource;

/// Says on the request which configuration it is of, and on the response if the request asks for that.
struct Named(String);

impl Filter for Named {
    fn compile(_: &mut [Resource], proxy: &ProxyContext, _: &mut Problems) -> Self {
        Self(proxy.namespace.clone())
    }

    fn decide<'r>(&'r self, request: &RequestView<'r>, _: &mut dyn Random) -> Plan<'r> {
        let mut plan = Plan::default();
        let edit = HeaderEdit::Set("by".into(), self.0.as_bytes().into());
        if request.header("response").is_some() {
            plan.response_edits.push(edit);
        } else {
            plan.request_edits.push(edit);
        }
        plan
    }
}

/// A module with the roots 1 and 2, named alike.
fn module(headers: &[(&str, &[u8])]) -> Module<Named> {
    fake::reset(headers);
    let mut module = Module::new();
    for root in [1, 2] {
        let config =
            format!(r#"{{"kind": "List", "items": [], "workload": {{"namespace": "root-{root}"}}}}"#);
        fake::with(|proxy| proxy.configuration = config.into_bytes());
        module.create(root, 0);
        assert!(module.configure(root));
    }
    fake::effects();
    module
}

fn by(map: crate::Map, root: &str) -> Vec<Effect> {
    vec![Effect::SetHeader(map, "by".to_owned(), root.as_bytes().to_vec())]
}

#[test]
fn each_stream_follows_its_own_root() {
    let mut module = module(&[]);
    module.create(3, 1);
    module.create(4, 2);
    module.create(5, 1);
    for (stream, root) in [(4, "root-2"), (5, "root-1"), (3, "root-1")] {
        assert_eq!(module.request_headers(stream), Action::Continue);
        assert_eq!(fake::effects(), by(crate::Map::RequestHeaders, root), "{stream}");
    }
    assert!(module.created.is_empty() && module.newest.is_none() && module.streams.is_empty());
}

#[test]
fn a_stream_is_kept_until_its_response_or_its_end() {
    let mut module = module(&[("response", b"")]);
    for stream in [3, 4] {
        module.create(stream, 2);
        assert_eq!(module.request_headers(stream), Action::Continue);
    }
    assert_eq!(fake::effects(), []);
    module.response_headers(3);
    assert_eq!(fake::effects(), by(crate::Map::ResponseHeaders, "root-2"));
    module.delete(3);
    module.delete(4);
    assert!(module.streams.is_empty());
    module.response_headers(4);
    assert_eq!(fake::effects(), []);
}

#[test]
fn a_stream_that_ends_before_its_request_leaves_nothing() {
    let mut module = module(&[]);
    module.create(3, 1);
    module.create(4, 1);
    module.delete(3);
    module.delete(4);
    assert!(module.created.is_empty() && module.newest.is_none());
}

#[test]
fn a_stream_of_no_known_root_is_refused() {
    let mut module = module(&[]);
    module.delete(1);
    assert_eq!(module.roots.len(), 1);
    module.create(3, 1);
    for stream in [3, 4] {
        assert_eq!(module.request_headers(stream), Action::Pause);
        let refused = fake::effects().into_iter().any(|effect| {
            matches!(effect, Effect::LocalReply { status: 500, details, .. } if details == "mesh_policy_not_configured")
        });
        assert!(refused, "{stream}");
    }
    module.create(5, 2);
    assert_eq!(module.request_headers(5), Action::Continue);
}

#[test]
fn a_root_that_does_not_exist_cannot_be_configured() {
    let mut module = module(&[]);
    assert!(!module.configure(7));
    module.tick(7);
    assert_eq!(fake::effects(), []);
}
