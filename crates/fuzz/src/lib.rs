//! What the fuzz targets do with one input each. A panic is a finding: of the core, or of a promise that it does not keep.
//!
//! Every input holds all that its target needs, so what was found is a file that can be replayed anywhere: `target/…/reader FILE`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod parts;
mod plans;

use vermilion_cms::der::{self, NotDer, Reader};
use vermilion_cms::{Algorithm, Certificate, Template};
use vermilion_lean::Hash;
use vermilion_proofs::Covered;
use vermilion_readback::{account, Account, Accounted, Constants, Key};

use crate::parts::{joined, Parts};
use crate::plans::Chosen;

/// The hash after these bytes.
fn hashed(bytes: &[u8]) -> Hash {
    let mut state = Hash::named("sha256").expect("seals are made with it");
    state.update(bytes);
    state
}

/// One byte that chooses a plan, and a document: it is read, extended, prepared, and what was prepared is accounted for.
pub fn reader(data: &[u8]) {
    let Some((&choice, document)) = data.split_first() else { return };
    let chosen = Chosen::by(choice);
    let state = hashed(document);
    let _ = vermilion_lean::read(document);
    if let Ok((suffix, Some(range))) = vermilion_lean::extend(document, &plans::addition(), &state) {
        require_hole(document, &suffix, range);
    }
    let Ok(prepared) = vermilion_lean::prepare(document, &chosen.plan, &chosen.pictures(), &state) else { return };
    let (start, end) = require_hole(document, &prepared.suffix, prepared.byte_range);
    let mut covered = state;
    covered.update(&prepared.suffix[..start]);
    covered.update(&prepared.suffix[end..]);
    assert_eq!(covered.finish(), prepared.digest, "the digest is over all but the hole");
    if let Ok(Account::Holds(from, to)) = account(document, &prepared.suffix, &chosen.expected(&prepared.field_name), &Default::default()) {
        assert_eq!((from, to), (start, end), "writer and account mean the same hole");
    }
}

/// The byte range covers everything but a hole of zeros, which lies in the update; where.
fn require_hole(document: &[u8], suffix: &[u8], range: [usize; 4]) -> (usize, usize) {
    let [zero, before, from, behind] = range;
    assert_eq!((zero, from + behind), (0, document.len() + suffix.len()), "everything is covered");
    let (start, end) = (before - document.len(), from - document.len());
    let inner = suffix[start..end].strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")).expect("the hole is a hexadecimal string");
    assert!(inner.iter().all(|&digit| digit == b'0'), "the hole is empty");
    (start, end)
}

/// One byte that chooses a plan, a document, and an update by whomever: where the account finds that it holds, a reader that shares nothing
/// with it has to find the document's signatures and one more, over everything.
pub fn readback(data: &[u8]) {
    let mut parts = Parts::of(data);
    let (Some(&choice), Some(document)) = (parts.one(), parts.next()) else { return };
    let suffix = parts.rest();
    let chosen = Chosen::by(choice);
    let Ok(Account::Holds(start, end)) = account(document, suffix, &chosen.expected(plans::FIELD), &Default::default()) else { return };
    let Ok(before) = vermilion_lean::read(document) else { return };
    let whole = [document, suffix].concat();
    let after = vermilion_lean::read(&whole).expect("the writer's reader reads what the account lets pass");
    let ours = [0, document.len() + start, document.len() + end, suffix.len() - end];
    let new: Vec<_> = after.signatures.iter().filter(|each| !before.signatures.contains(each)).collect();
    assert_eq!(after.signatures.len(), before.signatures.len() + 1, "there is one signature more");
    assert!(matches!(new[..], [each] if each.byte_range == ours && !each.is_timestamp), "it is the one that was accounted for");
    assert_eq!(after.store, before.store, "validation data is what it was");
}

/// One byte that chooses an algorithm, a certificate by whomever, one that is sent along, a digest, a signature, a token: the CMS of it is DER
/// to its last length, and its signed attributes are those that the key signs.
pub fn cms(data: &[u8]) {
    let mut parts = Parts::of(data);
    let (Some(&kind), Some(certificate), Some(issuing)) = (parts.one(), parts.next(), parts.next()) else { return };
    let (Some(digest), Some(signature)) = (parts.next(), parts.next()) else { return };
    let token = parts.rest();
    let algorithm = [Algorithm::Rsa, Algorithm::P256, Algorithm::P384][usize::from(kind) % 3];
    let Ok(read) = Certificate::read(certificate) else { return };
    let template = Template::new(&read, &[issuing], algorithm);
    let attributes = template.signed_attributes(digest);
    let made = template.assemble(digest, signature, token);
    assert_eq!(attributes.is_some(), digest.len() == algorithm.digest_size(), "a digest has its size");
    let (Some(attributes), Some(made)) = (attributes, made) else { return };
    signed_as_told(&made, &attributes, signature, token).expect("it is DER");
}

/// Walks from the outside in, strictly.
fn signed_as_told(made: &[u8], attributes: &[u8], signature: &[u8], token: &[u8]) -> Result<(), NotDer> {
    let inside = |data, tag| -> Result<Reader, NotDer> {
        let mut outer = Reader::new(data);
        let inner = outer.take(tag)?;
        outer.end()?;
        Ok(Reader::new(inner))
    };
    let mut content = inside(made, der::SEQUENCE)?;
    content.take(der::OBJECT_IDENTIFIER)?;
    let mut explicit = Reader::new(content.take(der::CONTEXT_0)?);
    content.end()?;
    let mut signed_data = Reader::new(explicit.take(der::SEQUENCE)?);
    explicit.end()?;
    for tag in [der::INTEGER, der::SET, der::SEQUENCE, der::CONTEXT_0] {
        signed_data.take(tag)?;
    }
    let mut signers = Reader::new(signed_data.take(der::SET)?);
    signed_data.end()?;
    let mut signer = Reader::new(signers.take(der::SEQUENCE)?);
    signers.end()?;
    for tag in [der::INTEGER, der::SEQUENCE, der::SEQUENCE] {
        signer.take(tag)?;
    }
    let own = signer.take(der::CONTEXT_0)?;
    assert_eq!(
        Some(own),
        inside(attributes, der::SET).ok().map(|_| &attributes[attributes.len() - own.len()..]),
        "the key signs what is sent"
    );
    signer.take(der::SEQUENCE)?;
    assert_eq!(signer.take(der::OCTET_STRING)?, signature);
    let mut unsigned = Reader::new(signer.take(der::CONTEXT_1)?);
    signer.end()?;
    let mut stamp = Reader::new(unsigned.take(der::SEQUENCE)?);
    unsigned.end()?;
    stamp.take(der::OBJECT_IDENTIFIER)?;
    assert_eq!(stamp.take(der::SET)?, token);
    stamp.end()
}

/// Everything that is known of a key, a digest, and a CMS by whomever: no CMS is a seal over two digests, or with anything behind it.
pub fn seal(data: &[u8]) {
    let mut parts = Parts::of(data);
    let (Some(&kind), Some(key)) = (parts.one(), parts.next()) else { return };
    let mut next = || parts.next().map(<[u8]>::to_vec);
    let (Some(head), Some(signer_head), Some(attributes_before)) = (next(), next(), next()) else { return };
    let (Some(attributes_after), Some(algorithm), Some(digest)) = (next(), next(), next()) else { return };
    let cms = parts.rest();
    let key = [Key::Rsa, Key::P256, Key::P384][usize::from(kind) % 3](key.to_vec());
    let constants = Constants { head, signer_head, attributes_before, attributes_after, algorithm, key };
    let nibbles = cms.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    let hex: String = nibbles.map(|nibble| char::from(b"0123456789abcdef"[usize::from(nibble)])).collect();
    let (zeros, room) = ("0".repeat(hex.len() + 64), hex.len() + 64);
    let (update, sealed) = (format!("a<{zeros}>b"), format!("a<{hex:0<room$}>b"));
    let accounted = Accounted { update: update.as_bytes(), hole: (1, room + 3), digest: &digest };
    if vermilion_readback::seals(&accounted, sealed.as_bytes(), &constants).is_err() {
        return;
    }
    let refuses = |digest: &[u8], sealed: &str| {
        let accounted = Accounted { update: update.as_bytes(), hole: (1, room + 3), digest };
        vermilion_readback::seals(&accounted, sealed.as_bytes(), &constants).is_err()
    };
    let other: Vec<u8> = digest.iter().map(|byte| byte ^ 1).collect();
    assert!(digest.is_empty() || refuses(&other, &sealed), "it is no seal over another digest");
    let is_whole = 4 + (usize::from(cms[2]) << 8 | usize::from(cms[3])) == cms.len(); // else its last octets are zeros of the hole
    assert!(!is_whole || refuses(&digest, &format!("a<{hex}{:0<64}>b", "01")), "nothing stands behind it");
    assert!(refuses(&digest, &sealed.replace(">b", ">c")), "the update is the accounted one");
}

/// One byte that chooses what the rest is: an answer of a time-stamping authority, or what is covered and the signature or document timestamp over
/// it. What proves something proves it of nothing else, and with nothing behind it but a hole's zeros.
pub fn proofs(data: &[u8]) {
    let mut parts = Parts::of(data);
    let Some(&kind) = parts.one() else { return };
    if kind % 3 == 0 {
        let data = parts.rest();
        let Ok(answer) = vermilion_proofs::answer(data) else { return };
        assert!(data.ends_with(answer.encoded) && answer.token.signer.len() < data.len(), "the token is what the answer ends with");
        assert!(vermilion_proofs::answer(&[data, &[0]].concat()).is_err(), "nothing stands behind it");
        return;
    }
    let Some(covered) = parts.next() else { return };
    let contents = parts.rest();
    let proves = |covered: &[u8], contents: &[u8]| {
        let (before, behind) = (covered.len() / 2, covered.len() - covered.len() / 2);
        let covered = Covered::of(covered, [0, before, before, behind]).expect("the ranges lie within");
        match kind % 3 {
            1 => vermilion_proofs::signature(&covered, contents).is_ok(),
            _ => vermilion_proofs::document_timestamp(&covered, contents).is_ok(),
        }
    };
    if !proves(covered, contents) {
        return;
    }
    assert!(proves(covered, &[contents, &[0; 8]].concat()), "zeros of the hole may follow");
    assert!(!proves(covered, &[contents, &[1]].concat()), "nothing else may follow");
    assert!(!proves(&[covered, &[0]].concat(), contents), "it proves nothing of more");
    let Some((last, rest)) = covered.split_last() else { return };
    assert!(!proves(rest, contents), "it proves nothing of less");
    assert!(!proves(&[rest, &[last ^ 1]].concat(), contents), "it proves nothing of anything else");
}

/// What the targets start from, for a document: inputs of `reader` and `readback`, each with a name.
pub fn seeds(document: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut made = Vec::new();
    for choice in 0..Chosen::COUNT {
        let chosen = Chosen::by(choice);
        let Ok(prepared) = vermilion_lean::prepare(document, &chosen.plan, &chosen.pictures(), &hashed(document)) else {
            if choice == 0 {
                made.push(("reader", [&[choice], document].concat()));
            }
            continue;
        };
        made.push(("reader", [&[choice], document].concat()));
        made.push(("readback", joined(choice, document, &prepared.suffix)));
    }
    made
}
