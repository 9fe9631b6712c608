//! Log subscriber, metric names and outcome labels, each defined once.
