//! Tests against a real `named`, from outside.

mod support;

mod bind_facts;
