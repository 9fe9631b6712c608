//! A trip, and how it is shown.

use serde::{Deserialize, Serialize};
use turntable_sdk::prelude::*;

/// Where the booked trips are, in the state of the user.
pub(crate) const TRIPS: &str = "trips";

/// One booked trip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trip {
    pub(crate) to: String,
    /// ISO 8601.
    pub(crate) day: String,
    pub(crate) travellers: Vec<Traveller>,
}

/// Somebody who comes along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traveller {
    pub(crate) name: String,
    /// The file name of the passport's picture, or its address.
    pub(crate) passport: String,
}

impl Trip {
    pub(crate) fn line(&self) -> String {
        format!("{} on {}, for {}", self.to, self.day, self.names())
    }

    /// Shows the trip before it is booked.
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
