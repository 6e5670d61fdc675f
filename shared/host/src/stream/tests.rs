use crate::fake::{self, Effect};
use crate::host_call::{Action, LogLevel, Map};
use crate::{Filter, MAX_ACTIVE_FAULTS, Plan, Root};
use mesh_policy_core::effect::{FaultDecision, HeaderEdit, LocalReply, Random};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::{Attribute, RequestView};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use std::time::Duration;

/// Does what the request's headers tell it to.
struct Obedient;

impl Filter for Obedient {
    fn compile(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        for resource in resources {
            problems.error(resource.path.clone(), ProblemKind::Unsupported, "not here");
        }
        if proxy.namespace == "odd" {
            problems.warning(mesh_policy_istio::path::Path::root(), ProblemKind::Suspicious, "odd namespace");
        }
        Self
    }

    fn decide<'r>(&'r self, request: &RequestView<'r>, _: &mut dyn Random) -> Plan<'r> {
        let mut plan = Plan::default();
        let milliseconds = request.header("delay").map(|ms| String::from_utf8_lossy(&ms).parse().unwrap());
        plan.fault = FaultDecision {
            delay: milliseconds.map(Duration::from_millis),
            abort: request.header("abort").map(|_| reply(418)),
        };
        plan.reply = request.header("reply").map(|_| reply(302));
        if let Some(value) = request.header("edit") {
            plan.request_edits.push(HeaderEdit::Remove("edit".into()));
            plan.request_edits.push(HeaderEdit::Add("added".into(), value.clone()));
            plan.response_edits.push(HeaderEdit::Set("seen".into(), value));
            plan.filter_state.push(("state", "value".to_owned()));
        }
        if request.header("ip").is_some() && request.attribute(Attribute::DirectRemoteIp).is_some() {
            plan.reply = Some(reply(403));
        }
        plan
    }
}

fn reply(status: u16) -> LocalReply {
    LocalReply { status, headers: Vec::new(), body: Vec::new(), grpc_status: None, details: "d".to_owned() }
}

fn replied(context: u32, status: u16, details: &str) -> Effect {
    let grpc_status = match status {
        403 => 7,
        _ => 2,
    };
    Effect::LocalReply {
        context,
        status,
        details: details.to_owned(),
        body: Vec::new(),
        headers: Vec::new(),
        grpc_status,
    }
}

fn root(headers: &[(&str, &[u8])]) -> Root<Obedient> {
    fake::reset(headers);
    fake::with(|proxy| proxy.configuration = br#"{"kind": "List", "items": []}"#.to_vec());
    let mut root = Root::new(1);
    assert!(root.configure());
    fake::effects();
    root
}

#[test]
fn edits_are_carried_out_in_order_and_the_response_gets_its_own() {
    let root = root(&[("edit", b"\xff")]);
    let mut stream = root.stream(2);
    assert_eq!(stream.on_request(), Action::Continue);
    assert_eq!(
        fake::effects(),
        [
            Effect::FilterState("state".to_owned(), b"value".to_vec()),
            Effect::RemoveHeader(Map::RequestHeaders, "edit".to_owned()),
            Effect::AddHeader(Map::RequestHeaders, "added".to_owned(), b"\xff".to_vec()),
        ]
    );
    stream.on_response();
    stream.on_response();
    assert_eq!(
        fake::effects(),
        [Effect::SetHeader(Map::ResponseHeaders, "seen".to_owned(), b"\xff".to_vec())]
    );
}

#[test]
fn an_answered_request_is_not_edited() {
    let root = root(&[("edit", b"x"), ("reply", b"")]);
    assert_eq!(root.stream(2).on_request(), Action::Pause);
    assert_eq!(
        fake::effects(),
        [Effect::FilterState("state".to_owned(), b"value".to_vec()), replied(0, 302, "d")]
    );
}

#[test]
fn an_abort_goes_before_any_other_answer() {
    let root = root(&[("abort", b""), ("reply", b"")]);
    assert_eq!(root.stream(2).on_request(), Action::Pause);
    assert_eq!(fake::effects(), [replied(0, 418, "d")]);
}

#[test]
fn a_delayed_request_goes_on_when_its_time_has_come_and_the_ticking_stops() {
    let root = root(&[("delay", b"300")]);
    let mut stream = root.stream(2);
    assert_eq!(stream.on_request(), Action::Pause);
    assert_eq!(fake::effects(), [Effect::Tick(300)]);
    fake::advance(Duration::from_millis(299));
    root.tick();
    assert_eq!(fake::effects(), [Effect::Tick(1)]);
    fake::advance(Duration::from_millis(1));
    root.tick();
    assert_eq!(fake::effects(), [Effect::Continue(2), Effect::Tick(0)]);
}

#[test]
fn a_delay_is_served_before_the_abort() {
    let root = root(&[("delay", b"5"), ("abort", b"")]);
    let mut stream = root.stream(7);
    assert_eq!(stream.on_request(), Action::Pause);
    assert_eq!(fake::effects(), [Effect::Tick(5)]);
    fake::advance(Duration::from_millis(5));
    root.tick();
    assert_eq!(fake::effects(), [replied(7, 418, "d"), Effect::Tick(0)]);
}

#[test]
fn a_stream_that_ended_or_was_answered_is_not_resumed() {
    let root = root(&[("delay", b"5")]);
    let mut ended = root.stream(2);
    let mut answered = root.stream(3);
    ended.on_request();
    answered.on_request();
    drop(ended);
    answered.on_response();
    fake::effects();
    fake::advance(Duration::from_millis(5));
    root.tick();
    assert_eq!(fake::effects(), [Effect::Tick(0)]);
}

#[test]
fn beyond_the_bound_no_fault_is_injected() {
    let root = root(&[("delay", b"5"), ("abort", b"")]);
    let mut waiting: Vec<_> =
        (0..u32::try_from(MAX_ACTIVE_FAULTS).unwrap()).map(|id| root.stream(id)).collect();
    assert!(waiting.iter_mut().all(|stream| stream.on_request() == Action::Pause));
    assert_eq!(root.stream(99_999).on_request(), Action::Continue);
}

#[test]
fn headers_that_cannot_be_read_refuse_the_request() {
    let root = root(&[]);
    fake::with(|proxy| proxy.request_headers = None);
    assert_eq!(root.stream(2).on_request(), Action::Pause);
    assert_eq!(
        fake::effects(),
        [
            Effect::Log(
                LogLevel::Error,
                "requests are refused: proxy_get_header_map_pairs: bad argument".to_owned()
            ),
            replied(0, 500, "mesh_policy_host_call_failed"),
        ]
    );
}

#[test]
fn an_edit_that_fails_refuses_the_request() {
    let root = root(&[("edit", b"x")]);
    fake::with(|proxy| proxy.failing.insert("proxy_add_header_map_value", 2));
    let mut stream = root.stream(2);
    assert_eq!(stream.on_request(), Action::Pause);
    assert_eq!(fake::effects().last(), Some(&replied(0, 500, "mesh_policy_host_call_failed")));
    stream.on_response();
    assert_eq!(fake::effects(), [], "the refusal is no response of the rule's");
}

#[test]
fn a_request_whose_direct_peer_is_unknown_is_refused_when_a_rule_asks() {
    let root = root(&[("ip", b"")]);
    assert_eq!(root.stream(2).on_request(), Action::Pause);
    assert_eq!(fake::effects().last(), Some(&replied(0, 500, "mesh_policy_direct_peer_unknown")));
    assert_eq!(root.stream(3).on_request(), Action::Pause);
    let errors = |effect: &&Effect| matches!(effect, Effect::Log(LogLevel::Error, _));
    assert_eq!(fake::effects().iter().filter(errors).count(), 0, "the log says it once");
}

#[test]
fn without_a_configuration_nothing_passes() {
    fake::reset(&[]);
    let root = Root::<Obedient>::new(1);
    assert_eq!(root.stream(2).on_request(), Action::Pause);
    assert_eq!(fake::effects().last(), Some(&replied(0, 500, "mesh_policy_not_configured")));
}

#[test]
fn a_refused_configuration_logs_each_problem_on_its_line() {
    fake::reset(&[]);
    fake::with(|proxy| {
        proxy.configuration = br#"{"kind": "List", "items": [
            {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}},
            {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "b"}}
        ], "workload": {"namespace": "odd", "port": 70000}}"#
            .to_vec();
    });
    assert!(!Root::<Obedient>::new(1).configure());
    assert_eq!(
        fake::effects(),
        [
            Effect::Log(
                LogLevel::Error,
                "workload.port: expected a port from 1 to 65535, found `70000`".to_owned()
            ),
            Effect::Log(LogLevel::Error, "items[0]: not here".to_owned()),
            Effect::Log(LogLevel::Error, "items[1]: not here".to_owned()),
            Effect::Log(LogLevel::Warn, ".: odd namespace".to_owned()),
        ]
    );
}

#[test]
fn an_empty_configuration_is_refused() {
    fake::reset(&[]);
    assert!(!Root::<Obedient>::new(1).configure());
    let logged = fake::effects();
    assert!(
        matches!(logged.as_slice(), [Effect::Log(LogLevel::Error, line)] if line.starts_with(".: the plugin configuration is empty")),
        "{logged:?}"
    );
}
