use super::*;

#[test]
fn pins_have_the_form_that_envoy_takes() {
    assert!(is_spki_pin("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="));
    assert!(!is_spki_pin("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9") && !is_spki_pin(""));
    let hash = "df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a";
    assert!(is_hash_pin(hash) && is_hash_pin(&hash.to_uppercase()));
    let pairs: Vec<&str> = hash.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    assert!(is_hash_pin(&pairs.join(":")));
    assert!(!is_hash_pin(hash.trim_start_matches('d')) && !is_hash_pin(&hash.replace('d', "x")));
}
