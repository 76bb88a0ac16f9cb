//! The whole status as one JSON document, piece by piece.

use super::{KeyView, Overview, Selection, StatusSource};

/// How many keys a piece has: of ten thousand, few are held in memory at once.
const PIECE: usize = 64;

/// The pieces of the document, in order: everything but the keys, then these.
///
/// # Errors
/// Never, as far as can be seen: it is what the serialiser's signature wants.
pub fn document(
    source: &StatusSource<'_>,
    selection: Selection,
) -> serde_json::Result<impl Iterator<Item = Vec<u8>> + use<>> {
    let mut head = serde_json::to_vec(&Overview::new(source, &selection))?;
    // The closing brace comes after the keys.
    head.pop();
    head.extend_from_slice(b",\"keys\":[");
    let (keys, certificate_expired) = (selection.keys, source.certificate_expired());
    let pieces = (0..keys.len()).step_by(PIECE).map(move |start| {
        let mut piece = Vec::new();
        for (place, key) in keys.iter().enumerate().skip(start).take(PIECE) {
            if place > 0 {
                piece.push(b',');
            }
            // A view holds nothing that JSON can't: it fails nowhere.
            let _ = serde_json::to_writer(&mut piece, &KeyView::new(key, certificate_expired));
        }
        piece
    });
    Ok(std::iter::once(head).chain(pieces).chain(std::iter::once(b"]}\n".to_vec())))
}
