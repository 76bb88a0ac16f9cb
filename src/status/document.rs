//! The whole status as one JSON document, in pieces.

use super::{KeyView, Overview, Selection, StatusSource};

/// The number of keys in one piece, so that the views of 10,000 keys are never in memory together.
const PIECE: usize = 64;

/// The pieces of the document, in order: first everything except the keys, then the keys.
///
/// # Errors
/// No known case; the serializer's signature requires the error.
pub(crate) fn document(
    source: &StatusSource<'_>,
    selection: Selection,
) -> serde_json::Result<impl Iterator<Item = Vec<u8>> + use<>> {
    let mut head = serde_json::to_vec(&Overview::new(source, &selection))?;
    // The closing brace comes after the keys.
    head.pop();
    head.extend_from_slice(b",\"keys\":[");
    let (keys, circumstances) = (selection.keys, source.circumstances());
    let pieces = (0..keys.len()).step_by(PIECE).map(move |start| {
        let mut piece = Vec::new();
        for (place, key) in keys.iter().enumerate().skip(start).take(PIECE) {
            if place > 0 {
                piece.push(b',');
            }
            let secret = key.partner.secret();
            let view = KeyView::new(key, &key.status(), &secret, circumstances);
            // Cannot fail: every view can be written as JSON, and writing to memory always succeeds.
            let _ = serde_json::to_writer(&mut piece, &view);
        }
        piece
    });
    Ok(std::iter::once(head).chain(pieces).chain(std::iter::once(b"]}\n".to_vec())))
}
