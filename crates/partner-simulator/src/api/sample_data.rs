//! Invented accounting data. All records contain a marker, so that tests can prove that no body leaks.

use serde_json::{Value, json};

/// The marker in all invented records.
pub const CANARY: &str = "ACCOUNTING-CANARY";

/// The fiscal years of a society.
pub(crate) fn exercices(society: u64) -> Value {
    let years = [(2023, "CLOSED"), (2024, "CLOSED"), (2025, "OPEN")];
    let years = years.map(|(year, state)| {
        json!({
            "producerId": format!("{CANARY}-{society}-{year}"),
            "name": format!("Exercice {year} {CANARY}"),
            "period": {"start": format!("{year}-01-01"), "end": format!("{year}-12-31")},
            "state": state,
            "result": f64::from(year) * 1.01,
        })
    });
    json!(years)
}

pub(crate) fn societies(ids: &[u64]) -> Value {
    let society = |id: &u64| {
        json!({
            "society_id": id,
            "name": format!("Boulangerie {id} {CANARY}"),
            "siret": format!("{id:014}"),
            "city": "Sainte-Invention",
        })
    };
    ids.iter().map(society).collect()
}

pub(crate) fn users(schema: u64) -> Value {
    let user = |(id, name): (u64, &str)| {
        json!({
            "user_id": schema * 1_000 + id,
            "name": format!("{name} {CANARY}"),
            "mail": format!("{CANARY}-{id}@cabinet.example"),
        })
    };
    [(1, "Camille Invent"), (2, "Dominique Fictif")].into_iter().map(user).collect()
}

pub(crate) fn persons(schema: u64) -> Value {
    let person = |(id, name): (u64, &str)| {
        json!({
            "pers_physique_id": schema * 1_000 + id,
            "name": format!("{name} {CANARY}"),
            "phone": "01 99 00 00 00",
        })
    };
    [(1, "Claude Imaginaire"), (2, "Sacha Suppose")].into_iter().map(person).collect()
}
