//! The broker: a producer that awaits acknowledgement, a consumer loop at least once.
