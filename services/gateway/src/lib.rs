//! The one way in: routes, token check, limits, headers, the older documents' aliases.
