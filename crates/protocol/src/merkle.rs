//! Merkle trees (RFC 6962 §2.1, RFC 9162 §2.1): inclusion proofs, and the right edge of a tree that grows.

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

fn hash(first: u8, parts: &[&[u8]]) -> Hash {
    let mut state = Sha256::new();
    state.update([first]);
    parts.iter().for_each(|part| state.update(part));
    state.finalize().into()
}

/// SHA-256(0x00 ‖ data), of the parts one after the other.
pub fn leaf_hash(data: &[&[u8]]) -> Hash {
    hash(0, data)
}

/// SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(1, &[left, right])
}

/// Hashes in the audit path of leaf `index` of `size`: levels below the right border, then the border's left siblings.
fn proof_length(index: u64, size: u64) -> u32 {
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    inner + index.checked_shr(inner).unwrap_or(0).count_ones()
}

/// The root that `proof` leads to (RFC 9162 §2.1.3.2); none where index, size and proof do not fit each other exactly.
pub fn root_from_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    // Exact, before anything is hashed: with surplus hashes a proof could be led to the same root in another way.
    if index >= size || proof.len() as u64 != u64::from(proof_length(index, size)) {
        return None;
    }
    let (mut position, mut last, mut result) = (index, size - 1, *leaf);
    for sibling in proof {
        if position & 1 == 1 || position == last {
            result = node_hash(sibling, &result);
            while position & 1 == 0 && position > 0 {
                (position, last) = (position >> 1, last >> 1);
            }
        } else {
            result = node_hash(&result, sibling);
        }
        (position, last) = (position >> 1, last >> 1);
    }
    Some(result)
}

/// Root and audit paths, from the leaf's sibling upward, of all leaves.
pub fn inclusion_proofs(leaves: &[Hash]) -> (Hash, Vec<Vec<Hash>>) {
    let mut proofs = vec![Vec::new(); leaves.len()];
    // One level after the other; a node without a sibling goes up as it is, which is the tree of RFC 6962 §2.1.
    let (mut level, mut covers) = (leaves.to_vec(), 1);
    while level.len() > 1 {
        for (index, proof) in proofs.iter_mut().enumerate() {
            proof.extend(level.get((index / covers) ^ 1));
        }
        level = level.chunks(2).map(|pair| pair.get(1).map_or(pair[0], |right| node_hash(&pair[0], right))).collect();
        covers *= 2;
    }
    (level.first().copied().unwrap_or_else(|| Sha256::digest([]).into()), proofs)
}

/// The complete subtrees at the right edge of a tree, largest first: one hash for each bit set in the size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// From the size (8 bytes, big-endian) and the hashes; none where they do not fit each other.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let (size, body) = data.split_first_chunk()?;
        let size = u64::from_be_bytes(*size);
        let hashes = body.chunks(size_of::<Hash>()).map(|hash| hash.try_into().ok()).collect::<Option<Vec<_>>>()?;
        (hashes.len() == size.count_ones() as usize).then_some(Self { size, hashes })
    }

    /// The inverse.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = self.size.to_be_bytes().to_vec();
        data.extend_from_slice(self.hashes.as_flattened());
        data
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes one more leaf.
    pub fn push(&mut self, leaf: Hash) {
        let merged = (0..self.size.trailing_ones()).fold(leaf, |merged, _| match self.hashes.pop() {
            Some(left) => node_hash(&left, &merged),
            None => merged,
        });
        self.hashes.push(merged);
        self.size += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|each| leaf_hash(&[&each.to_be_bytes()])).collect()
    }

    #[test]
    fn every_proof_leads_to_the_root_and_no_other_does() {
        for size in 1..70 {
            let leaves = leaves(size);
            let (root, proofs) = inclusion_proofs(&leaves);
            for (index, proof) in proofs.iter().enumerate() {
                let leads = |index: usize, size: usize, proof: &[Hash]| {
                    root_from_inclusion(&leaves[proofs.len().min(index).min(leaves.len() - 1)], index as u64, size as u64, proof)
                };
                assert_eq!(leads(index, size, proof), Some(root));
                assert_eq!(leads(index, size, &[&proof[..], &[root]].concat()), None);
                assert_eq!(leads(size, size, proof), None);
                if let Some((_, shorter)) = proof.split_last() {
                    assert_eq!(leads(index, size, shorter), None);
                }
            }
        }
    }

    #[test]
    fn a_frontier_grows_to_the_same_tree() {
        let mut grown = Frontier::decode(&[0; 8]).unwrap();
        for (count, leaf) in leaves(130).into_iter().enumerate() {
            grown.push(leaf);
            let left = grown.hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
            assert_eq!(left, Some(inclusion_proofs(&leaves(count + 1)).0));
            assert_eq!(Frontier::decode(&grown.encode()), Some(grown.clone()));
        }
        assert_eq!(Frontier::decode(&[0; 7]), None);
        assert_eq!(Frontier::decode(&[0; 40]), None);
    }
}
