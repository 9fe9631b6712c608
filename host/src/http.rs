//! The HTTP edge: the only module that knows axum.
