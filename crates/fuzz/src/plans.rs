//! The plans that the targets choose among: without a mark, with one, with several; certifying or not; strict or not.

use std::sync::OnceLock;

use vermilion_lean::{Addition, Mark, Picture, Plan, Slice};

/// The field that is asked for.
pub const FIELD: &str = "Vermilion-1";
const TIME: &str = "D:20260102030405+00'00'";
const HOLE_SIZE_BYTES: usize = 40; // of the CMS; smaller than any, for the targets' inputs to be short
const RECTANGLES: [[i64; 4]; 2] = [[10_000, 10_000, 60_000, 60_000], [0, 100_500, 20_250, 140_000]];
/// A page of 100 by 100 points with a red square.
const PICTURE: &[u8] = b"%PDF-1.7
1 0 obj
<</Type/Catalog/Pages 2 0 R>>
endobj
2 0 obj
<</Type/Pages/Kids[3 0 R]/Count 1>>
endobj
3 0 obj
<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Resources<<>>/Contents 4 0 R>>
endobj
4 0 obj
<</Length 25>>
stream
1 0 0 rg 10 10 80 80 re f
endstream
endobj
xref
0 5
0000000000 65535 f 
0000000009 00000 n 
0000000054 00000 n 
0000000105 00000 n 
0000000199 00000 n 
trailer
<</Size 5/Root 1 0 R>>
startxref
272
%%EOF
";

/// A plan as the writer takes it.
pub struct Chosen {
    /// Of marks.
    pub plan: Plan,
}

impl Chosen {
    /// So many differ.
    pub const COUNT: u8 = 12;

    /// By any byte.
    pub fn by(choice: u8) -> Self {
        let choice = choice % Self::COUNT;
        let mark = |page: usize, slice, of| Mark { page, rectangle: RECTANGLES[page % 2], picture: 0, slice: Slice { number: slice, of } };
        let marks = match choice % 3 {
            0 => Vec::new(),
            1 => vec![mark(0, 0, 1)],
            _ => vec![mark(0, 0, 2), mark(1, 1, 2)],
        };
        let plan = Plan {
            field_name: FIELD.to_owned(),
            time_text: TIME.to_owned(),
            time_iso: "2026-01-02T03:04:05+00:00".to_owned(),
            marks,
            name: "Office".to_owned(),
            reason: "合同".to_owned(),
            location: String::new(),
            contact: String::new(),
            certification: if choice / 3 % 2 == 0 { 0 } else { 2 },
            bound: None,
            hole_size_bytes: HOLE_SIZE_BYTES,
            strict: choice / 6 == 1,
            writer_version: "fuzz".to_owned(),
            owner_name: "测试有限公司".to_owned(),
        };
        Self { plan }
    }

    /// The pictures that its marks show.
    pub fn pictures(&self) -> Vec<&'static Picture> {
        static READ: OnceLock<Picture> = OnceLock::new();
        vec![READ.get_or_init(|| Picture::read(PICTURE).expect("it is a page"))]
    }

    /// The same plan as the account takes it, with the name that the field got.
    pub fn expected(&self, field_name: &str) -> vermilion_readback::Plan {
        let plan = &self.plan;
        let mark = |mark: &Mark| vermilion_readback::Mark {
            page: mark.page,
            rectangle: mark.rectangle,
            picture: [0; 32],
            slice: mark.slice.number,
            slices: mark.slice.of,
        };
        vermilion_readback::Plan {
            field_name: field_name.to_owned(),
            time_text: plan.time_text.clone(),
            marks: plan.marks.iter().map(mark).collect(),
            texts: [plan.name.clone(), plan.reason.clone(), plan.location.clone(), plan.contact.clone()],
            certification: plan.certification,
            hole_size_bytes: plan.hole_size_bytes,
            writer_version: plan.writer_version.clone(),
            owner_name: plan.owner_name.clone(),
        }
    }
}

/// What an extension adds.
pub fn addition() -> Addition {
    let store = [vec![vec![b'a'; 50]], Vec::new(), vec![vec![b'x'; 20]]];
    Addition {
        vri: vec![("AB".to_owned(), [vec![vec![b'a'; 50]], Vec::new(), Vec::new()])],
        store,
        identifier: vec![7; 16],
        hole_size_bytes: HOLE_SIZE_BYTES,
        field_name: "Time".to_owned(),
        field_label: "Timestamp".to_owned(),
    }
}
