//! A trip and its summary card.

use serde::{Deserialize, Serialize};
use turntable_sdk::prelude::*;

/// The key of the booked trips in the state of the user.
pub(crate) const TRIPS: &str = "trips";

/// One booked trip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trip {
    pub(crate) to: String,
    /// The day, ISO 8601.
    pub(crate) day: String,
    pub(crate) travellers: Vec<Traveller>,
}

/// One traveller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traveller {
    pub(crate) name: String,
    /// The file name of the picture of the passport, or its URL.
    pub(crate) passport: String,
}

impl Trip {
    pub(crate) fn line(&self) -> String {
        format!("{} on {}, for {}", self.to, self.day, self.names())
    }

    /// Returns the summary card of the trip.
    pub(crate) fn card(&self) -> Activity {
        let passports: Vec<&str> = self.travellers.iter().map(|traveller| traveller.passport.as_str()).collect();
        let card = HeroCard::new(format!("Your trip to {}", self.to))
            .subtitle(format!("On {}", self.day))
            .text(format!("For {}. Passports: {}.", self.names(), passports.join(", ")));
        Activity { summary: Some(self.line()), ..card.into() }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.travellers.iter().map(|traveller| traveller.name.as_str()).collect();
        names.join(", ")
    }
}
