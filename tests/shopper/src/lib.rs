//! Open-loop shoppers, the history of what they saw, and the checker of the invariants.
