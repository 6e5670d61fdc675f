//! Corpus loader, generators and naive models for the tests.
