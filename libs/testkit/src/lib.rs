//! For tests alone: a throwaway PostgreSQL, Kafka and Redis, a fixed clock, an application under test, golden files.
