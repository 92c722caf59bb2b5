//! Data files: what NumPy and PyArrow wrote is read as it was meant, what is written is read again bit for bit, and no
//! damaged file does more than give a message. `fixtures/make.py` made the files.

mod fuzz;

use std::path::{Path, PathBuf};

use anabranch::data::{Column, Format, Layout, Table, parse, read, write_samples};
use anabranch::recipe::{self, ChainPlan, Override, Plan, TargetData};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn table(name: &str) -> Table {
    read(&fixture(name), &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// The message about a fixture, from the file's name on.
fn message(name: &str, drop: &[Column]) -> String {
    let message = read(&fixture(name), drop).unwrap_err().to_string();
    let start = message.find(name.split(':').next().unwrap()).unwrap_or_else(|| panic!("{message}"));
    message[start..].to_owned()
}

fn named(name: &str) -> Column {
    Column::Name(name.to_owned())
}

/// A directory of its own, gone with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anabranch-files-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const FLOATS: [f32; 6] = [-3.0, 0.5, 1.0, 100.0, -0.125, 0.099_975_586];

#[test]
fn numpy_types_and_byte_orders() {
    let kinds: [(&str, &[usize], [f32; 6]); 4] = [
        ("b", &[1], [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]),
        ("i", &[1, 2, 4, 8], [-3.0, 0.0, 1.0, 100.0, -128.0, 127.0]),
        ("u", &[1, 2, 4, 8], [0.0, 1.0, 2.0, 100.0, 128.0, 255.0]),
        ("f", &[2, 4, 8], FLOATS),
    ];
    for (kind, sizes, values) in kinds {
        for size in sizes {
            let orders: &[&str] = if *size == 1 { &[""] } else { &["-little", "-big"] };
            for order in orders {
                let name = format!("{kind}{size}{order}.npy");
                let table = table(&name);
                assert_eq!((table.columns, &table.values[..]), (2, &values[..]), "{name}");
            }
        }
    }
}

#[test]
fn numpy_shapes_orders_and_versions() {
    let whole = table("cube-c.npy");
    assert_eq!((whole.columns, whole.values.clone()), (6, (0u8..24).map(f32::from).collect()));
    assert_eq!(table("cube-fortran.npy"), whole);
    let drop = [Column::Index(4), Column::Index(0)];
    let part = read(&fixture("cube-fortran.npy"), &drop).unwrap();
    assert_eq!((part.columns, &part.values[..4]), (4, &[1.0, 2.0, 3.0, 5.0][..]));
    assert_eq!(read(&fixture("cube-c.npy"), &drop).unwrap(), part);
    let vector = table("vector.npy");
    assert_eq!((vector.columns, vector.values), (1, vec![3.0, -1.5, 2.25]));
    assert_eq!(table("version-2.npy").values, FLOATS);
    assert_eq!(table("version-3.npy").values, FLOATS);
}

#[test]
fn numpy_arrays_that_are_no_tables() {
    assert_eq!(message("scalar.npy", &[]), "scalar.npy: found a single number; allowed: an array of rows");
    assert!(
        message("complex.npy", &[]).starts_with("complex.npy: found numbers of type '<c16'; allowed: b1, i1")
    );
    assert!(message("objects.npy", &[]).starts_with("objects.npy: found numbers of type '|O'"));
    assert!(
        message("records.npy", &[])
            .starts_with("records.npy: found numbers of type [('a', '<i4'), ('b', '<f8')]")
    );
    assert!(read(&fixture("f4-big.npy"), &[named("x")]).unwrap_err().to_string().contains("have no names"));
}

#[test]
fn archives() {
    assert_eq!(table("one.npz").values, FLOATS);
    assert_eq!(table("one.npz:x").values, FLOATS);
    assert!(message("one.npz:y", &[]).starts_with("one.npz: found \"y\"; allowed: x"));
    let images = table("several.npz:images");
    assert_eq!(images, table("cube-c.npy"));
    assert_eq!(table("several.npz:labels").values, [7.0, 0.0, 9.0, 1.0]);
    let several = message("several.npz", &[]);
    assert!(several.starts_with("several.npz: found 2 arrays; allowed: one of them, as "), "{several}");
    assert!(several.ends_with("several.npz:NAME; NAME is one of images, labels"), "{several}");
    assert_eq!(
        message("several.npz:image", &[]),
        "several.npz: found \"image\"; allowed: images, labels; did you mean \"images\"?"
    );
}

#[test]
fn idx_and_csv_files() {
    assert_eq!(table("images.idx"), table("cube-c.npy"));
    let floats = table("floats.idx.gz");
    assert_eq!((floats.columns, &floats.values[..]), (2, &FLOATS[..]));
    let named_columns = table("floats.csv.gz");
    assert_eq!(named_columns.labels, ["column \"width\"", "column \"height\""]);
    assert_eq!((named_columns.columns, named_columns.values), (floats.columns, floats.values));
    let height = read(&fixture("floats.csv.gz"), &[named("width")]).unwrap();
    assert_eq!((height.columns, height.values), (1, vec![0.5, 100.0, FLOATS[5]]));
}

#[test]
fn parquet_types_encodings_and_codecs() {
    let integers = table("integers.parquet");
    assert_eq!(integers.columns, 8);
    assert_eq!(
        integers.values[..8],
        [-128.0, -32768.0, -(2f32.powi(31)), -(2f32.powi(63)), 0.0, 0.0, 0.0, 0.0]
    );
    assert_eq!(integers.values[8..16], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    let unsigned = [255.0, 65535.0, 2f32.powi(31) + 2f32.powi(8), 2f32.powi(63) + 2f32.powi(40)];
    assert_eq!(integers.values[16..20], [127.0, 32767.0, 65536.0, 2f32.powi(40)]);
    assert_eq!(integers.values[20..], unsigned);
    let mixed = [1.0, -3.0, -3.0, -3.0, 0.0, 0.5, 0.1, 0.1, 1.0, 65504.0, 1e30, 1e30];
    for codec in ["none", "snappy", "gzip", "zstd"] {
        for version in ["v1", "v2"] {
            let name = format!("{codec}-{version}.parquet");
            let found = table(&name);
            assert_eq!((found.columns, found.values), (4, mixed.to_vec()), "{name}");
            assert_eq!(found.labels.len(), 4, "{name}");
        }
    }
    assert_eq!(table("plain.parquet").values, mixed);
    assert_eq!(table("split.parquet").values, [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(table("delta.parquet").values, [0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0, 64.0]);
    let groups = table("groups.parquet");
    assert_eq!(
        (groups.columns, groups.values),
        (2, (0u8..5).flat_map(|i| [i.into(), (10 * i).into()]).collect())
    );
}

#[test]
fn parquet_columns_that_are_no_numbers() {
    let labelled = read(&fixture("labelled.parquet"), &[named("label")]).unwrap();
    assert_eq!((labelled.columns, labelled.values), (1, vec![1.5, 2.5]));
    let starts = |name: &str, start: &str| {
        let message = message(&format!("{name}.parquet"), &[]);
        assert!(message.starts_with(&format!("{name}.parquet, {start}")), "{message}");
    };
    starts(
        "labelled",
        "in the schema, column \"label\": found BYTE_ARRAY that stands for String; allowed: integers",
    );
    starts("date", "in the schema, column \"x\": found INT32 that stands for Date");
    starts("decimal", "in the schema, column \"x\": found FIXED_LEN_BYTE_ARRAY that stands for Decimal");
    starts("time", "in the schema, column \"x\": found INT64 that stands for Timestamp");
    starts("list", "in the schema, column \"x.list.element\": found lists of FLOAT");
    starts("nulls", "row 2, column \"y\": found a null; allowed: a value in every row");
    starts("nan", "row 3, column \"x\": found NaN; allowed: a finite number");
    starts("lz4", "in the data, column \"yes\": found LZ4");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every finite f32, among them zeros of both signs and subnormal numbers, comes back with the same bits.
    #[test]
    fn what_is_written_is_read_again(columns in 1usize..6, numbers in proptest::collection::vec(any::<u32>(), 1..60)) {
        let directory = Directory::new("round");
        let mut values: Vec<f32> = numbers.iter().map(|bits| f32::from_bits(*bits)).filter(|v| v.is_finite()).collect();
        values.push(-0.0);
        values.resize(values.len().next_multiple_of(columns), f32::MIN_POSITIVE / 3.0);
        for format in [Format::Npy, Format::Csv, Format::Parquet] {
            let path = directory.0.join("samples");
            write_samples(&path, format, &values, &Layout::of(columns)).unwrap();
            let table = read(&path, &[]).unwrap();
            prop_assert_eq!(table.columns, columns);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&table.values), bits(&values), "{:?}", format);
        }
    }
}

#[test]
fn many_rows_and_many_groups() {
    let directory = Directory::new("many");
    // More rows than a group of rows holds, and than are decoded at a time.
    let values: Vec<f32> = (0..(1 << 20) + 9000).map(|i| (i % 8191) as f32 / 7.0).collect();
    let path = directory.0.join("many.parquet");
    write_samples(&path, Format::Parquet, &values, &Layout::of(1)).unwrap();
    assert!(read(&path, &[]).unwrap().values == values);
    std::fs::write(&path, b"").unwrap();
    assert!(read(&path, &[]).unwrap_err().is_input());
}

#[test]
fn pictures_of_samples() {
    let directory = Directory::new("pictures");
    let path = directory.0.join("samples.png");
    let values: Vec<f32> = (0..3 * 6).map(|i| i as f32).collect();
    for (levels, last) in [(0, 255), (35, 128)] {
        write_samples(&path, Format::Png, &values, &Layout { image: Some([2, 3]), levels, ..Layout::of(6) })
            .unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.height, info.width), (5, 7));
        // The third image stands below the first; its last pixel is the highest value.
        assert_eq!((pixels[0], pixels[7 * 4 + 2]), (0, last));
    }
}

const RECIPE: &str =
    "name = \"t\"\n[target]\nkind = \"table\"\n[[model]]\nkind = \"flow\"\n[training]\nsteps = 1\n";

fn plan(sets: &[String]) -> anabranch::error::Result<Box<ChainPlan>> {
    let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set)).collect::<Result<_, _>>()?;
    match Plan::new(recipe::read("t.toml", RECIPE, &overrides)?)? {
        Plan::Chain(plan) => Ok(plan),
        Plan::GFlowNet(_) => panic!("a table is learned by a chain"),
    }
}

#[test]
fn recipes_read_any_file_and_drop_columns() {
    let directory = Directory::new("recipes");
    let path = directory.0.join("labelled.csv");
    let rows: String = (0..20).map(|i| format!("{i},{},digit {i}\n", i % 4)).collect();
    std::fs::write(&path, format!("x,y,label\n{rows}")).unwrap();
    let file = format!("target.file=\"{}\"", path.display());
    let with = |more: &[&str]| {
        plan(&std::iter::once(&*file).chain(more.iter().copied()).map(str::to_owned).collect::<Vec<_>>())
    };
    let plan_of_two = with(&["target.drop=[\"label\"]"]).unwrap();
    let TargetData::Rows(data) = &plan_of_two.data else { panic!("a table") };
    assert_eq!((data.columns, data.train.len() + data.validation.len() + data.test.len()), (2, 40));
    assert_eq!(with(&["target.drop=[2]"]).unwrap().dimension(), 2);
    let read = &plan_of_two.recipe;
    assert_eq!(recipe::read("again", &read.to_toml(), &[]).unwrap(), *read);
    let message = |more: &[&str]| with(more).err().unwrap().to_string();
    assert!(message(&[]).contains("labelled.csv, line 2, column \"label\": found \"digit 0\""));
    assert!(message(&["target.drop=[\"lable\"]"]).ends_with("did you mean \"label\"?"));
    assert!(message(&["target.drop=[3]"]).starts_with("target.drop: found 3; allowed: an index below 3"));
    let wrong_type = message(&["target.drop=[2.5]"]);
    assert!(wrong_type.ends_with("allowed: an integer of at least 0, or a text in quotes"), "{wrong_type}");
    let levels = message(&["target.drop=[2]", "target.levels=4"]);
    assert!(
        levels.contains("found ") && levels.contains("allowed: an integer from 0 to 3 (target.levels = 4)")
    );

    // Further data may come with the label or without it.
    let target = &plan_of_two.recipe.target;
    assert_eq!(target.read(&path, None, 2).unwrap().0.rows(), 20);
    let bare = directory.0.join("bare.npy");
    write_samples(&bare, Format::Npy, &[1.0, 2.0], &Layout::of(2)).unwrap();
    assert_eq!(target.read(&bare, None, 2).unwrap().0.values, [1.0, 2.0]);
    write_samples(&bare, Format::Npy, &[1.0, 2.0, 3.0], &Layout::of(1)).unwrap();
    assert!(target.read(&bare, None, 2).unwrap_err().is_input());
    let embedded =
        plan(&["target.source=digits".to_owned(), "target.drop=[1]".to_owned()]).err().unwrap().to_string();
    assert!(embedded.contains("target.drop: found columns of an embedded data set"), "{embedded}");
}

/// The fixtures as bytes, but the script.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(fixture(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "py"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() > 40);
    files
}

/// Reads a damaged file: it is a table of finite numbers still, or the user's error.
fn survives(name: &str, bytes: &[u8]) {
    match parse(name, bytes, &[]) {
        Ok(table) => {
            assert!(table.rows() > 0 && table.values.iter().all(|value| value.is_finite()), "{name}")
        }
        Err(error) => assert!(error.is_input(), "{name}: {error}"),
    }
}

#[test]
fn truncated_files_give_a_message() {
    for (name, bytes) in fixtures() {
        for length in 0..bytes.len() {
            survives(&name, &bytes[..length]);
            assert!(
                parse(&name, &bytes[..length], &[]).is_err(),
                "{name} cut at {length} of {}",
                bytes.len()
            );
        }
    }
}

#[test]
fn flipped_bits_give_a_table_or_a_message() {
    for (name, bytes) in fixtures() {
        let mut damaged = bytes.clone();
        for bit in 0..8 * bytes.len() {
            damaged[bit / 8] ^= 1 << (bit % 8);
            survives(&name, &damaged);
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn overwritten_bytes_give_a_table_or_a_message() {
    for (name, bytes) in fixtures() {
        let mut damaged = bytes.clone();
        for start in 0..bytes.len() {
            for (value, length) in [(0, 1), (0xFF, 1), (0x7F, 4), (0xFF, 8)] {
                let end = bytes.len().min(start + length);
                damaged[start..end].fill(value);
                survives(&name, &damaged);
                damaged[start..end].copy_from_slice(&bytes[start..end]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_after_a_magic_string_gives_a_message(
        magic in proptest::sample::select(vec![
            &b""[..], b"\x93NUMPY\x01\0\x10\0", b"PK\x03\x04", b"PAR1", b"\0\0\x08\x02", b"\x1F\x8B\x08\0",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        survives("t", &[magic, &rest].concat());
        survives("t", &[magic, &rest, magic].concat());
    }
}
