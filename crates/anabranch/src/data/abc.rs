//! Monophonic tunes in ABC notation as sequences of sixteenths.
//!
//! ```text
//! state    0 a rest, 1 + p the MIDI pitch p from 0 to 127; a sixteenth has the note that sounds in it
//! onsets   are rounded to sixteenths; a tune of which a note would thereby have no length is left out
//! ```
//!
//! Read are headers (`X`, `K`, `M`, `L`), also within a tune; key signatures with modes and accidentals of their own; accidentals, which hold
//! to the end of the bar in all octaves, and of a tied note over it; octaves, lengths, broken rhythm, tuplets, rests and bars of rest. A
//! repeat is played once, and endings one after the other as they are written; grace notes, slurs, ornaments and texts are passed over. What
//! stands before the first whole bar is left out, so that tunes begin with a bar. Tunes of several voices, or with chords, are left out.
//!
//! Walshaw, "The ABC music standard 2.1" (2011), sections 3 and 4.

/// The states of a sixteenth: a rest and 128 pitches.
pub const STATES: u32 = 129;

/// Why tunes of a text were left out, and how many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Of several voices, or with chords.
    pub polyphonic: usize,
    /// With notes that are too short for sixteenths.
    pub short_notes: usize,
    /// Which have no key, or something that is no note of a piano roll.
    pub unread: usize,
}

impl LeftOut {
    /// All of them.
    pub fn count(&self) -> usize {
        self.polyphonic + self.short_notes + self.unread
    }

    /// These and others.
    pub fn add(&mut self, other: Self) {
        self.polyphonic += other.polyphonic;
        self.short_notes += other.short_notes;
        self.unread += other.unread;
    }
}

/// The tunes of a text, each as its states, and those that were left out.
pub fn tunes(text: &str) -> (Vec<Vec<u8>>, LeftOut) {
    let (mut tunes, mut left_out) = (Vec::new(), LeftOut::default());
    let mut tune: Option<Tune> = None;
    let mut finish = |tune: Option<Tune>| {
        let Some(tune) = tune.filter(|tune| tune.body) else { return };
        match tune.states() {
            Ok(states) => tunes.push(states),
            Err(Unfit::Polyphonic) => left_out.polyphonic += 1,
            Err(Unfit::ShortNotes) => left_out.short_notes += 1,
            Err(Unfit::Unread) => left_out.unread += 1,
        }
    };
    for line in text.lines() {
        let line = line.split('%').next().unwrap_or_default().trim();
        match field(line) {
            Some(('X', _)) => finish(tune.replace(Tune::default())),
            Some((name, value)) => tune.iter_mut().for_each(|tune| tune.field(name, value)),
            None => tune.iter_mut().filter(|tune| tune.body).for_each(|tune| tune.music(line)),
        }
    }
    finish(tune);
    (tunes, left_out)
}

/// A field's name and value: `K:G`.
fn field(line: &str) -> Option<(char, &str)> {
    let mut letters = line.chars();
    let name = letters.next().filter(char::is_ascii_alphabetic)?;
    // `|` and `:` alone are music.
    letters
        .as_str()
        .strip_prefix(':')
        .filter(|rest| !rest.starts_with(['|', ':']))
        .map(|rest| (name, rest.trim()))
}

/// Why a tune is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    Polyphonic,
    ShortNotes,
    Unread,
}

/// A note or a rest.
#[derive(Debug, Clone, Copy)]
struct Sound {
    state: u8,
    /// In whole notes.
    length: f64,
}

/// Letters of the scale.
const LETTERS: &[u8; 7] = b"CDEFGAB";
/// Their semitones above C.
const SEMITONES: [i32; 7] = [0, 2, 4, 5, 7, 9, 11];
/// Places among the letters in the order in which sharps come: F C G D A E B.
const SHARPS: [usize; 7] = [3, 0, 4, 1, 5, 2, 6];
/// Middle C, the note `C`.
const MIDDLE_C: i32 = 60;

/// A tune while it is read.
#[derive(Debug, Default)]
struct Tune {
    /// Whether its key was met, behind which the music begins.
    body: bool,
    /// Semitones that the key adds to each letter.
    key: [i32; 7],
    /// Those that this bar adds in their place.
    bar: [Option<i32>; 7],
    /// The meter, numerator and denominator.
    meter: Option<[f64; 2]>,
    /// Whole notes of a length of 1, if it is said.
    unit: Option<f64>,
    sounds: Vec<Sound>,
    /// The letter and octave of the last note, while it is tied to the next.
    last: Option<(usize, i32)>,
    tied: bool,
    /// What the next note's length is multiplied by, of broken rhythm.
    broken: f64,
    /// What those of the next notes are multiplied by, of a tuplet, and how many.
    tuplet: (f64, usize),
    /// Whether a bar line was met.
    begun: bool,
    unfit: Option<Unfit>,
}

impl Tune {
    fn field(&mut self, name: char, value: &str) {
        match name {
            'M' => self.meter = meter(value).or(self.meter),
            'L' => self.unit = fraction(value).or(self.unit),
            'K' => {
                match key(value) {
                    Some(key) => self.key = key,
                    None => self.unfit = Some(Unfit::Unread),
                }
                self.body = true;
            }
            'V' => self.unfit = Some(Unfit::Polyphonic),
            _ => {}
        }
    }

    /// Whole notes of a length of 1: an eighth, of a meter below 3/4 a sixteenth, unless it is said.
    fn unit(&self) -> f64 {
        self.unit.unwrap_or(match self.meter {
            Some([beats, of]) if beats / of < 0.75 => 1.0 / 16.0,
            _ => 1.0 / 8.0,
        })
    }

    /// Whole notes of a bar; a tune without a meter has none, and keeps what stands before its first bar line.
    fn bar(&self) -> f64 {
        self.meter.map_or(0.0, |[beats, of]| beats / of)
    }

    /// Reads a line of music.
    fn music(&mut self, line: &str) {
        let mut reader = Reader { rest: line.as_bytes() };
        while let Some(letter) = reader.next() {
            match letter {
                b'"' => reader.skip_to(b'"'),
                b'{' => reader.skip_to(b'}'),
                b'!' | b'+' if reader.rest.contains(&letter) => reader.skip_to(letter),
                b'[' => match reader.rest {
                    [b'|' | b'0'..=b'9' | b'"', ..] | [] => {}
                    [name, b':', ..] if name.is_ascii_alphabetic() => {
                        let end = reader.rest.iter().position(|l| *l == b']').unwrap_or(reader.rest.len());
                        let value = std::str::from_utf8(&reader.rest[2..end.max(2)]).unwrap_or_default();
                        self.field(char::from(*name), value.trim());
                        reader.skip_to(b']');
                    }
                    _ => self.unfit = Some(Unfit::Polyphonic),
                },
                b'|' | b':' => self.bar_line(),
                b'&' => self.unfit = Some(Unfit::Polyphonic),
                b'(' => self.tuplet(&mut reader),
                b'>' | b'<' => self.broken(letter, 1 + reader.count(letter)),
                b'-' => self.tied = self.last.is_some(),
                b'z' | b'x' => {
                    let length = self.unit() * reader.length();
                    self.sound(0, length);
                    self.last = None;
                }
                b'Z' => {
                    let length = self.bar() * reader.length();
                    self.sound(0, length);
                    self.last = None;
                }
                b'^' | b'_' | b'=' | b'a'..=b'g' | b'A'..=b'G' => self.note(letter, &mut reader),
                _ => {}
            }
        }
    }

    fn bar_line(&mut self) {
        self.bar = [None; 7];
        let length: f64 = self.sounds.iter().map(|sound| sound.length).sum();
        if !self.begun && length > 0.0 {
            self.begun = true;
            if length < self.bar() - 1e-9 {
                self.sounds.clear();
            }
        }
    }

    /// `(3`, or `(p:q:r`: `r` notes in `q/p` of their lengths.
    fn tuplet(&mut self, reader: &mut Reader) {
        let Some(notes) = reader.number() else { return };
        let compound = self.meter.is_some_and(|[beats, of]| of == 8.0 && beats > 3.0 && beats % 3.0 == 0.0);
        let mut time = match notes {
            2 | 4 | 8 => 3,
            3 | 6 => 2,
            _ if compound => 3,
            _ => 2,
        };
        let mut count = notes;
        if reader.take(b':') {
            time = reader.number().unwrap_or(time);
            if reader.take(b':') {
                count = reader.number().unwrap_or(count);
            }
        }
        self.tuplet = (f64::from(time) / f64::from(notes.max(1)), count as usize);
    }

    /// `a>b` is `a3/2 b/2`, with more signs `a` the longer.
    fn broken(&mut self, sign: u8, signs: usize) {
        let short = 0.5f64.powi(signs.min(8) as i32);
        let (first, next) = if sign == b'>' { (2.0 - short, short) } else { (short, 2.0 - short) };
        if let Some(last) = self.sounds.last_mut() {
            last.length *= first;
        }
        self.broken = next;
    }

    fn note(&mut self, first: u8, reader: &mut Reader) {
        let (mut letter, mut accidental) = (Some(first), None);
        while let Some(sign @ (b'^' | b'_' | b'=')) = letter {
            let step = i32::from(sign == b'^') - i32::from(sign == b'_');
            accidental = Some(accidental.unwrap_or(0) + step);
            letter = reader.next();
        }
        let Some(place) =
            letter.and_then(|l| LETTERS.iter().position(|other| *other == l.to_ascii_uppercase()))
        else {
            self.unfit = Some(Unfit::Unread);
            return;
        };
        let mut octave = i32::from(letter.is_some_and(|letter| letter.is_ascii_lowercase()));
        loop {
            match reader.rest.first() {
                Some(b'\'') => octave += 1,
                Some(b',') => octave -= 1,
                _ => break,
            }
            reader.next();
        }
        let length = self.unit() * reader.length();
        if accidental.is_some() {
            self.bar[place] = accidental;
        }
        let raised = MIDDLE_C + 12 * octave + SEMITONES[place] + self.bar[place].unwrap_or(self.key[place]);
        let held = self
            .sounds
            .last()
            .filter(|_| self.tied && accidental.is_none() && self.last == Some((place, octave)));
        match (held.map(|held| held.state), u8::try_from(raised)) {
            (Some(state), _) => self.sound(state, length),
            (None, Ok(pitch)) if pitch < 128 => self.sound(pitch + 1, length),
            _ => self.unfit = Some(Unfit::Unread),
        }
        self.last = Some((place, octave));
    }

    fn sound(&mut self, state: u8, length: f64) {
        let mut length = length;
        if self.broken > 0.0 {
            length *= std::mem::take(&mut self.broken);
        }
        if self.tuplet.1 > 0 {
            length *= self.tuplet.0;
            self.tuplet.1 -= 1;
        }
        self.tied = false;
        self.sounds.push(Sound { state, length });
    }

    /// The states of its sixteenths.
    fn states(self) -> Result<Vec<u8>, Unfit> {
        if let Some(unfit) = self.unfit {
            return Err(unfit);
        }
        let (mut states, mut time) = (Vec::new(), 0.0);
        for Sound { state, length } in self.sounds {
            time += 16.0 * length;
            // Halves up, whatever was lost to rounding on the way.
            let end = (time + 1e-6).round() as usize;
            if end <= states.len() {
                return Err(Unfit::ShortNotes);
            }
            if end > MOST {
                return Err(Unfit::Unread);
            }
            states.resize(end, state);
        }
        Ok(states)
    }
}

/// Sixteenths of a tune, at most.
const MOST: usize = 1 << 16;

/// What is left of a line.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, letter: u8) -> bool {
        let found = self.rest.first() == Some(&letter);
        if found {
            self.next();
        }
        found
    }

    fn count(&mut self, letter: u8) -> usize {
        let mut count = 0;
        while self.take(letter) {
            count += 1;
        }
        count
    }

    fn skip_to(&mut self, end: u8) {
        let at = self.rest.iter().position(|letter| *letter == end);
        self.rest = at.map_or(&[], |at| &self.rest[at + 1..]);
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.rest.iter().take_while(|letter| letter.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    /// A length: `3`, `/`, `//`, `3/2`, 1 if nothing is said.
    fn length(&mut self) -> f64 {
        let mut length = f64::from(self.number().unwrap_or(1));
        while self.take(b'/') {
            length /= f64::from(self.number().unwrap_or(2).max(1));
        }
        length
    }
}

fn fraction(text: &str) -> Option<f64> {
    meter(text).map(|[above, below]| above / below)
}

/// `C`, `C|`, `6/8`.
fn meter(text: &str) -> Option<[f64; 2]> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| (1.0..=256.0).contains(number));
    match text {
        "C" => Some([4.0, 4.0]),
        "C|" => Some([2.0, 2.0]),
        _ => {
            let (above, below) = text.split_once('/')?;
            Some([number(above)?, number(below.split_whitespace().next()?)?])
        }
    }
}

/// Semitones that a key adds to each letter: `G`, `Am`, `E Minor`, `D mix`, `HP`, `D ^g =c`.
fn key(text: &str) -> Option<[i32; 7]> {
    let mut signature = [0; 7];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [first, rest] = [0, 1].map(|word| words.get(word).copied().unwrap_or_default());
    let mut sharps = 0;
    if first.eq_ignore_ascii_case("hp") {
        sharps = 2;
    } else if !(first.is_empty() || first.eq_ignore_ascii_case("none")) {
        let tonic = LETTERS.iter().position(|letter| first.as_bytes()[0] == *letter)?;
        // Fifths above F, of which F major has one flat.
        sharps = SHARPS.iter().position(|place| *place == tonic)? as i32 - 1;
        let (accidental, mode) = match first.as_bytes().get(1) {
            Some(b'#') => (1, &first[2..]),
            Some(b'b') => (-1, &first[2..]),
            _ => (0, first.get(1..)?),
        };
        sharps += 7 * accidental;
        let mode = if mode.is_empty() { rest } else { mode };
        let mode: String = mode.chars().take_while(char::is_ascii_alphabetic).take(3).collect();
        // Capital M alone is major.
        let mode = if mode == "M" { String::new() } else { mode.to_ascii_lowercase() };
        sharps += match mode.as_str() {
            "lyd" => 1,
            "mix" => -1,
            "dor" => -2,
            "m" | "min" | "aeo" => -3,
            "phr" => -4,
            "loc" => -5,
            _ => 0,
        };
    }
    for (place, letter) in SHARPS.iter().enumerate() {
        let (sharp, flat) = (sharps > place as i32, -sharps > 6 - place as i32);
        signature[*letter] = i32::from(sharp) - i32::from(flat);
    }
    for word in words {
        let [sign @ (b'^' | b'_' | b'='), letter] = *word.as_bytes() else { continue };
        let place = LETTERS.iter().position(|other| *other == letter.to_ascii_uppercase())?;
        signature[place] = i32::from(sign == b'^') - i32::from(sign == b'_');
    }
    Some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states of one tune, whose header has `L:1/16` unless it is said.
    fn read(header: &str, music: &str) -> Vec<u8> {
        let (tunes, left_out) = tunes(&format!("X:1\nT:a tune\nL:1/16\n{header}\n{music}\n"));
        assert_eq!((tunes.len(), left_out.count()), (1, 0), "{music}");
        tunes.into_iter().next().unwrap_or_default()
    }

    /// The states of MIDI pitches.
    fn pitches(all: &[u8]) -> Vec<u8> {
        all.iter().map(|pitch| pitch + 1).collect()
    }

    #[test]
    fn notes_have_their_pitches_and_lengths() {
        assert_eq!(read("K:C", "C D2 c' B,, z"), [pitches(&[60, 62, 62, 84, 47]), vec![0]].concat());
        assert_eq!(read("L:1/8\nK:C", "C/ D/2 E F3/2"), pitches(&[60, 62, 64, 64, 65, 65, 65]));
        assert_eq!(read("K:C", "C4// D"), pitches(&[60, 62]));
        // Without a length, an eighth; of a meter below 3/4 a sixteenth.
        let counted = |header: &str| tunes(&format!("X:1\n{header}\nK:C\nC|\n")).0[0].len();
        assert_eq!([counted("M:none"), counted("L:1/4")], [2, 4]);
        assert_eq!(read("M:2/4\nK:C", "Z2 c"), [vec![0; 16], pitches(&[72])].concat());
    }

    #[test]
    fn keys_raise_and_lower() {
        let scale = |key: &str| read(&format!("K:{key}"), "CDEFGAB");
        assert_eq!(scale("C"), pitches(&[60, 62, 64, 65, 67, 69, 71]));
        assert_eq!(scale("D"), pitches(&[61, 62, 64, 66, 67, 69, 71]));
        assert_eq!(scale("Eb"), pitches(&[60, 62, 63, 65, 67, 68, 70]));
        assert_eq!(scale("F#"), pitches(&[61, 63, 65, 66, 68, 70, 71]));
        for (key, same) in [
            ("Am", "C"),
            ("E Minor", "G"),
            ("D Dorian", "C"),
            ("Dmix", "G"),
            ("Hp", "D"),
            ("GM", "G"),
            ("none", "C"),
        ] {
            assert_eq!(scale(key), scale(same), "{key}");
        }
        assert_eq!(scale("D =c"), pitches(&[60, 62, 64, 66, 67, 69, 71]));
        assert_eq!(read("K:C", "F [K:G] F"), pitches(&[65, 66]));
        assert_eq!(read("K:C", "F\nK:G\nF"), pitches(&[65, 66]));
    }

    #[test]
    fn accidentals_hold_to_the_end_of_the_bar() {
        assert_eq!(read("K:G", "=F F f|F"), pitches(&[65, 65, 77, 66]));
        assert_eq!(read("K:C", "^^C __D|_E E"), pitches(&[62, 60, 63, 63]));
        // A tie holds over the bar, for its own note.
        assert_eq!(read("K:C", "^F-|F F"), pitches(&[66, 66, 65]));
        assert_eq!(read("K:C", "^F-|f"), pitches(&[66, 77]));
    }

    #[test]
    fn rhythms_are_broken_and_divided() {
        assert_eq!(read("L:1/8\nK:C", "C>D E<F"), pitches(&[60, 60, 60, 62, 64, 65, 65, 65]));
        assert_eq!(read("L:1/4\nK:C", "C>>D"), pitches(&[60, 60, 60, 60, 60, 60, 60, 62]));
        // Three eighths in the time of two: onsets 0, 4/3, 8/3 are those of the sixteenths 0, 1, 3.
        assert_eq!(read("L:1/8\nK:C", "(3CDE F"), pitches(&[60, 62, 62, 64, 65, 65]));
        assert_eq!(read("L:1/8\nK:C", "(3:2:2CE2"), pitches(&[60, 64, 64, 64]));
        assert_eq!(
            read("M:6/8\nL:1/8\nK:C", "(2CD|"),
            Vec::<u8>::new(),
            "left out before the first whole bar"
        );
    }

    #[test]
    fn what_is_no_note_is_passed_over() {
        let music = "\"Am\"C {ga}D | ~u.E (F G) !trill!A+pp+ B :: [1 c | [2 d |] % a remark\nw:a word\n e\\";
        assert_eq!(read("K:C", music), pitches(&[60, 62, 64, 65, 67, 69, 71, 72, 74, 76]));
        // Before the first whole bar of a meter.
        assert_eq!(read("M:2/4\nK:C", "G2|C4D4|"), pitches(&[60, 60, 60, 60, 62, 62, 62, 62]));
        assert_eq!(read("M:2/4\nK:C", "C4D4|G2|").len(), 10);
    }

    #[test]
    fn tunes_that_do_not_fit_are_counted() {
        let text = "X:1\nL:1/16\nK:C\nCD|\n\nX:2\nK:C\n[CE]G\n\nX:3\nL:1/32\nK:C\nCD\n\nX:4\nK:H\nC\n\nX:5\nL:1/16\nK:C\nz,,,\nC,,,,,,,\nX:6\n";
        let (found, left_out) = tunes(text);
        assert_eq!(found, [pitches(&[60, 62])]);
        assert_eq!(left_out, LeftOut { polyphonic: 1, short_notes: 1, unread: 2 });
        for odd in [
            "",
            "X:1",
            "X:1\nK:",
            "X:1\nK:C\n[K:",
            "X:1\nK:C\n(9999999999C",
            "X:1\nK:C\nC99999999",
            "X:1\nK:\u{e9}\nC\u{e9}",
        ] {
            tunes(odd);
        }
    }
}
