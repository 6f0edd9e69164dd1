use anode_net::s3::Headers;

use super::*;

/// The same key for the same seed.
pub(in crate::encryption) fn data_key(seed: u8) -> DataKey {
    DataKey(Zeroizing::new([seed; KEY_BYTES]))
}

fn counter(mut next: u64) -> impl FnMut() -> u64 {
    move || {
        next += 1;
        next
    }
}

fn line(name: &str, seed: u8) -> String {
    format!("{name} {}\n", STANDARD.encode([seed; KEY_BYTES]))
}

fn customer(seed: u8) -> CustomerKey {
    let key = STANDARD.encode([seed; KEY_BYTES]);
    let md5 = STANDARD.encode(anode_net::checksum::Md5::of(&[seed; KEY_BYTES]));
    let name = |rest| format!("x-amz-server-side-encryption-customer-{rest}");
    let fields =
        [(name("algorithm"), "AES256".to_owned()), (name("key"), key), (name("key-md5"), md5)];
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    *CustomerKey::of_read(Headers::new(&fields)).unwrap().unwrap()
}

const BINDING: Binding<'static> =
    Binding { scheme: Scheme::Named, bucket: 7, context: Some("e30=") };

#[test]
fn a_file_has_names_and_keys() {
    let text = format!("# keys\n\n{} {}{}", line("one", 1), line("two", 2), line("one", 3));
    let keys = MasterKeys::parse(&text).unwrap();
    assert_eq!(keys.first().unwrap().bits[0], 1);
    for (name, expected) in [
        ("one", Some(1)),
        ("two", Some(2)),
        ("alias/two", Some(2)),
        ("arn:aws:kms:us-east-1:1:key/two", Some(2)),
        ("arn:aws:kms:us-east-1:1:alias/two", Some(2)),
        ("arn:aws:kms:two", Some(2)),
        ("three", None),
        ("", None),
    ] {
        assert_eq!(keys.named(name).map(|key| key.bits[0]), expected, "{name}");
    }
    let long = "n".repeat(limits::MASTER_KEY_NAME_BYTES_MAX + 1);
    let many = line("one", 1).repeat(limits::MASTER_KEY_COUNT_MAX + 1);
    for (text, problem) in [
        ("", "no key"),
        ("# one\n", "no key"),
        ("one", "line 1"),
        ("one two three", "line 1"),
        ("one c2hvcnQ=", "32 bytes"),
        (&line(&long, 1), "a name"),
        (&line("é", 1), "a name"),
        (&many, "more than"),
    ] {
        let error = MasterKeys::parse(text).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_data_key_comes_back_by_its_master_key_whatever_stands_before_it() {
    let old = MasterKeys::parse(&line("one", 1)).unwrap();
    let (key, stored) = old.first().unwrap().new_data_key(BINDING, counter(5));
    let rotated = format!("{}{}{}", line("other", 1), line("one", 2), line("one", 1));
    let rotated = MasterKeys::parse(&rotated).unwrap();
    assert_eq!(*rotated.unlock(None, 7, &stored).unwrap().0, *key.0);
    let gone = MasterKeys::parse(&line("one", 2)).unwrap();
    assert_eq!(gone.unlock(None, 7, &stored).unwrap_err(), Locked::OtherKey);
    // The one that was made is asked as well, under its own name.
    let record = MasterKey::make(counter(9), 4);
    let made = MasterKey::made(&record).unwrap();
    let (key, stored) = made.new_data_key(BINDING, counter(6));
    assert_eq!(*rotated.unlock(Some(&made), 7, &stored).unwrap().0, *key.0);
    assert_eq!(rotated.unlock(None, 7, &stored).unwrap_err(), Locked::OtherKey);
    let broken = object::MasterKey { key: object::Secret("ab".to_owned()), created_ms: 4 };
    assert!(MasterKey::made(&broken).unwrap_err().contains("can't be read"));
}

#[test]
fn a_data_key_is_bound_to_what_it_was_made_for() {
    let keys = MasterKeys::parse(&line("one", 1)).unwrap();
    let (_, stored) = keys.first().unwrap().new_data_key(BINDING, counter(5));
    let damaged = |change: fn(&mut Encryption)| {
        let mut stored = stored.clone();
        change(&mut stored);
        keys.unlock(None, 7, &stored).unwrap_err()
    };
    assert_eq!(keys.unlock(None, 8, &stored).unwrap_err(), Locked::Damaged);
    assert_eq!(damaged(|stored| stored.context = None), Locked::Damaged);
    assert_eq!(damaged(|stored| stored.scheme = Scheme::Managed), Locked::Damaged);
    assert_eq!(damaged(|stored| stored.data_key[40] ^= 1), Locked::Damaged);
    assert_eq!(damaged(|stored| stored.data_key.truncate(3)), Locked::Damaged);
    assert_eq!(damaged(|stored| stored.check[0] ^= 1), Locked::OtherKey);
    assert_eq!(damaged(|stored| stored.salt[0] ^= 1), Locked::OtherKey);
}

#[test]
fn a_customers_key_opens_what_it_encrypted() {
    let (key, stored) = DataKey::new_of_customer(&customer(1), 7, counter(5));
    let open = |seed, bucket| DataKey::of_customer(&customer(seed), bucket, &stored);
    assert_eq!(*open(1, 7).unwrap().0, *key.0);
    assert_eq!(open(2, 7).unwrap_err(), Locked::OtherKey);
    assert_eq!(open(1, 8).unwrap_err(), Locked::Damaged);
}

#[test]
fn the_same_is_never_encrypted_the_same_way_twice() {
    let (one, first) = DataKey::new_of_customer(&customer(1), 7, counter(5));
    let (two, second) = DataKey::new_of_customer(&customer(1), 7, counter(50));
    assert_ne!(*one.0, *two.0);
    assert_ne!((first.salt, first.check), (second.salt, second.check));
    assert_ne!(one.etag(&[3; 16]), two.etag(&[3; 16]));
    assert_ne!(one.etag(&[3; 16]), one.etag(&[4; 16]));
}

#[test]
fn no_key_shows() {
    let keys = MasterKeys::parse(&line("one", 0xab)).unwrap();
    let (key, stored) = keys.first().unwrap().new_data_key(BINDING, counter(5));
    let record = MasterKey::make(counter(9), 4);
    let shown = format!("{keys:?} {key:?} {stored:?} {record:?} {:?}", MasterKey::made(&record));
    let data = key.0.as_slice();
    for bits in [[0xab; KEY_BYTES].as_slice(), data, &hex::decode(&record.key.0).unwrap()] {
        for form in [STANDARD.encode(bits), hex::encode(bits), format!("{bits:?}")] {
            assert!(!shown.contains(&form), "{shown}");
        }
    }
    let wrong = MasterKeys::parse("one S2VlcCB0aGlzIG91dCBvZiBlcnJvcnM=").unwrap_err();
    assert!(!wrong.contains("S2Vl"), "{wrong}");
}

// Computed by another implementation (node:crypto).
#[test]
fn keys_are_what_others_make_of_them() {
    let key = data_key(9);
    assert_eq!(hex::encode(key.etag(&[3; 16])), "43f9f52d2e2b53cd8dd1708015eeb9bf");
    let (_, stored) = MasterKeys::parse(&line("one", 1))
        .unwrap()
        .first()
        .unwrap()
        .new_data_key(BINDING, counter(5));
    assert_eq!(hex::encode(stored.check), "8757dee8fe0a12cc93aeea2cb0b7ac58");
    assert_eq!(
        hex::encode(stored.data_key),
        "e97d9d110c71170ce7162fa7dfeec64cb09890f7eae5790594775a51fa6dd6522a2c77cac4b4d06a7e8357534a817a6f"
    );
}
