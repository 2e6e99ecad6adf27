//! A service's database: the pool whose login can be swapped under load, migrations, constraint names.
