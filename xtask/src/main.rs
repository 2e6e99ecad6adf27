//! Every way to build, run and check this project.

fn main() {}
