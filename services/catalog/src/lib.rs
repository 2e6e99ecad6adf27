//! Products, their stock per warehouse, and the reservations that orders hold.
