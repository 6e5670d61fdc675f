use super::*;
use crate::source::Sources;

const MESH: &str = "metadata: {name: mesh, namespace: istio-system}\nspec: {mtls: {mode: STRICT}}";

fn modes_of(policies: &[&str]) -> Modes {
    let text: Vec<String> = policies
        .iter()
        .map(|policy| format!("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n{policy}\n"))
        .collect();
    let sources = Sources::from_text("mtls.yaml", &text.join("---\n"));
    assert_eq!(sources.findings(), []);
    let labels = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
    modes(sources.resources(), "shop", &labels, "istio-system")
}

#[test]
fn without_policies_both_are_taken() {
    assert_eq!(modes_of(&[]).of(80), Mode::Permissive);
}

#[test]
fn the_narrower_policy_replaces_the_wider_one() {
    let namespace = "metadata: {name: ns, namespace: shop}\nspec: {mtls: {mode: DISABLE}}";
    let own = "metadata: {name: own, namespace: shop}\nspec: {selector: {matchLabels: {app: a}}, mtls: {mode: PERMISSIVE}}";
    assert_eq!(modes_of(&[MESH]).of(80), Mode::Strict);
    assert_eq!(modes_of(&[MESH, namespace]).of(80), Mode::Disable);
    assert_eq!(modes_of(&[MESH, namespace, own]).of(80), Mode::Permissive);
}

#[test]
fn what_a_policy_leaves_unset_the_wider_one_says() {
    let namespace = "metadata: {name: ns, namespace: shop}\nspec: {mtls: {mode: UNSET}}";
    let own = "metadata: {name: own, namespace: shop}\nspec: {selector: {matchLabels: {app: a}}, \
               portLevelMtls: {8080: {mode: DISABLE}, 8081: {mode: UNSET}}}";
    let modes = modes_of(&[MESH, namespace, own]);
    assert_eq!([80, 8080, 8081].map(|port| modes.of(port)), [Mode::Strict, Mode::Disable, Mode::Strict]);
}

#[test]
fn a_selector_counts_only_for_its_own_workloads_and_not_in_the_root_namespace() {
    let others = "metadata: {name: others, namespace: shop}\nspec: {selector: {matchLabels: {app: b}}, mtls: {mode: DISABLE}}";
    let root = "metadata: {name: a, namespace: istio-system}\nspec: {selector: {matchLabels: {app: a}}, mtls: {mode: DISABLE}}";
    let empty = "metadata: {name: z, namespace: shop}\nspec: {selector: {}, mtls: {mode: DISABLE}}";
    assert_eq!(modes_of(&[MESH, others, root]).of(80), Mode::Strict);
    assert_eq!(modes_of(&[MESH, empty]).of(80), Mode::Disable);
}

#[test]
fn of_several_policies_at_one_level_the_first_by_name_counts() {
    let policy = |name: &str, mode: &str| {
        format!("metadata: {{name: {name}, namespace: shop}}\nspec: {{mtls: {{mode: {mode}}}}}")
    };
    let (b, a) = (policy("b", "DISABLE"), policy("a", "STRICT"));
    assert_eq!(modes_of(&[&b, &a]).of(80), Mode::Strict);
}

#[test]
fn ports_without_a_selector_are_refused() {
    let text = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\n\
                spec: {portLevelMtls: {0: {mode: STRICT}}}\n";
    let sources = Sources::from_text("mtls.yaml", text);
    let found: Vec<String> = crate::check(&sources).iter().map(|finding| finding.message.clone()).collect();
    assert_eq!(
        found,
        [
            "the ports of single workloads are meant: expected a `selector` with labels",
            "expected a port from 1 to 65535, found `0`"
        ]
    );
}
