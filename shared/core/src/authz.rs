//! Who may do what: AuthorizationPolicies compiled and evaluated.
