use super::*;

#[test]
fn pins_have_the_form_that_envoy_takes() {
    assert!(is_spki_pin("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="));
    assert!(!is_spki_pin("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9") && !is_spki_pin(""));
    let hash = "df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a";
    assert!(is_hash_pin(hash) && is_hash_pin(&hash.to_uppercase()));
    let colons: Vec<&str> = (0..32).map(|index| &hash[2 * index..2 * index + 2]).collect();
    assert!(is_hash_pin(&colons.join(":")));
    assert!(!is_hash_pin(&hash[1..]) && !is_hash_pin(&hash.replace('d', "x")));
}
