//! Invented accounting data. All records contain a marker, so that tests can prove that no body leaks.

use serde_json::{Value, json};

/// The marker in all invented records.
pub const CANARY: &str = "ACCOUNTING-CANARY";

/// The fiscal years of a society.
pub(crate) fn exercices(society: u64) -> Value {
    let years = [(2023, "closed"), (2024, "closed"), (2025, "open")];
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

pub(crate) fn society(id: u64) -> Value {
    json!({
        "society_id": id,
        "name": format!("Boulangerie {id} {CANARY}"),
        "siret": format!("{id:014}"),
        "city": "Sainte-Invention",
    })
}

/// All societies of a firm, on one page.
pub(crate) fn societies(ids: &[u64]) -> Value {
    let societies: Vec<_> = ids.iter().copied().map(society).collect();
    json!({"row_numbers": societies.len(), "pages_number": 1, "society_array": societies})
}

pub(crate) fn users(schema: u64) -> Value {
    let users = [(1, "Camille Invent"), (2, "Dominique Fictif")].map(|(id, name)| {
        json!({
            "user_id": schema * 1_000 + id,
            "name": format!("{name} {CANARY}"),
            "mail": format!("{CANARY}-{id}@cabinet.example"),
        })
    });
    json!({"bdelete": false, "user_array": users})
}

pub(crate) fn persons(schema: u64) -> Value {
    let persons = [(1, "Claude Imaginaire"), (2, "Sacha Suppose")].map(|(id, name)| {
        json!({
            "pers_physique_id": schema * 1_000 + id,
            "name": format!("{name} {CANARY}"),
            "phone": "01 99 00 00 00",
        })
    });
    json!({"array_pers_physique": persons})
}

/// Records of a route whose response is not documented.
pub(crate) fn records(schema: u64) -> Value {
    json!([{"id": schema * 1_000 + 1, "label": format!("Invention {CANARY}")}])
}
