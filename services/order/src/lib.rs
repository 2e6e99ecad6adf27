//! Orders and the saga that reserves, takes payment, cancels and expires.
