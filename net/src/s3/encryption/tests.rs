use super::*;

const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";
const SHORT: &str = "c2hvcnQ=";

fn customer<'a>(algorithm: &'a str, key: &'a str, md5: &'a str) -> [(&'static str, &'a str); 3] {
    [(OF_OBJECT.algorithm, algorithm), (OF_OBJECT.key, key), (OF_OBJECT.md5, md5)]
}

#[test]
fn what_a_write_asks_for_is_read() {
    let named = |key: Option<&str>, context: Option<&str>, bucket_key| {
        let (key, context) = (key.map(str::to_owned), context.map(str::to_owned));
        Wanted::Named(Box::new(NamedKey { key, context, bucket_key }))
    };
    for (fields, expected) in [
        (&[][..], Wanted::Unsaid),
        (&[(BUCKET_KEY, "true")], Wanted::Unsaid),
        (&[(ENCRYPTION, "AES256")], Wanted::Managed),
        (&[(ENCRYPTION, "aws:kms")], named(None, None, None)),
        (
            &[
                (ENCRYPTION, "aws:kms"),
                (KEY_ID, "one"),
                (CONTEXT, "eyJhIjoiYiJ9"),
                (BUCKET_KEY, "TRUE"),
            ],
            named(Some("one"), Some("eyJhIjoiYiJ9"), Some(true)),
        ),
    ] {
        assert_eq!(Wanted::parse(Headers::new(fields)), Ok(expected), "{fields:?}");
    }
    let fields = customer("AES256", KEY, MD5);
    let wanted = Wanted::parse(Headers::new(&fields)).unwrap();
    let key = wanted.customer_key().unwrap();
    assert_eq!((STANDARD.encode(key.bytes()).as_str(), key.md5().as_str()), (KEY, MD5));
}

#[test]
fn what_can_not_be_done_is_refused() {
    let argument = ErrorCode::InvalidArgument;
    for (fields, expected) in [
        (&[(ENCRYPTION, "AES192")][..], ErrorCode::InvalidEncryptionAlgorithmError),
        (&[(ENCRYPTION, "")], ErrorCode::InvalidEncryptionAlgorithmError),
        (&[(ENCRYPTION, "aws:kms:dsse")], ErrorCode::NotImplemented),
        (&[(ENCRYPTION, "aws:fsx")], ErrorCode::NotImplemented),
        (&[(KEY_ID, "one")], argument),
        (&[(ENCRYPTION, "AES256"), (KEY_ID, "one")], argument),
        (&[(ENCRYPTION, "aws:kms"), (CONTEXT, "{}")], argument),
        (&[(ENCRYPTION, "aws:kms"), (CONTEXT, "WzFd")], argument),
        (&[(ENCRYPTION, "aws:kms"), (BUCKET_KEY, "yes")], argument),
        (&customer("AES192", KEY, MD5), ErrorCode::InvalidEncryptionAlgorithmError),
        (&customer("AES256", SHORT, MD5), argument),
        (&customer("AES256", "no base64!", MD5), argument),
        (&customer("AES256", KEY, "AAAAAAAAAAAAAAAAAAAAAA=="), argument),
        (&[(OF_OBJECT.algorithm, "AES256")], argument),
        (&[(OF_OBJECT.algorithm, "AES256"), (OF_OBJECT.key, KEY)], argument),
        (&[(OF_OBJECT.key, KEY), (OF_OBJECT.md5, MD5)], argument),
        (&[(OF_OBJECT.md5, MD5)], argument),
    ] {
        let error = Wanted::parse(Headers::new(fields)).unwrap_err();
        assert_eq!(error.code(), expected, "{fields:?}");
    }
    let both: Vec<_> =
        customer("AES256", KEY, MD5).into_iter().chain([(ENCRYPTION, "AES256")]).collect();
    assert_eq!(Wanted::parse(Headers::new(&both)).unwrap_err().code(), argument);
}

#[test]
fn a_read_says_a_key_and_nothing_else() {
    for name in [ENCRYPTION, KEY_ID, CONTEXT, BUCKET_KEY] {
        let fields = [(name, "aws:kms")];
        let error = CustomerKey::of_read(Headers::new(&fields)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{name}");
        assert_eq!(CustomerKey::of_upload(Headers::new(&fields)), Ok(None), "{name}");
    }
    let fields = customer("AES256", KEY, MD5);
    let headers = Headers::new(&fields);
    let key = CustomerKey::of_read(headers).unwrap();
    assert_eq!(key, CustomerKey::of_upload(headers).unwrap());
    assert!(key.is_some() && CustomerKey::is_in(headers));
    assert_eq!(CustomerKey::of_source(headers), Ok(None));
    let fields = [(OF_SOURCE.algorithm, "AES256"), (OF_SOURCE.key, KEY), (OF_SOURCE.md5, MD5)];
    let headers = Headers::new(&fields);
    assert_eq!(CustomerKey::of_source(headers).unwrap(), key);
    assert!(CustomerKey::is_in(headers) && !CustomerKey::is_in(Headers::new(&[])));
    let other = CustomerKey(Zeroizing::new([7; 32]));
    assert_ne!(key.as_deref(), Some(&other));
}

#[test]
fn a_key_shows_nowhere() {
    let fields = customer("AES256", KEY, MD5);
    let wanted = Wanted::parse(Headers::new(&fields)).unwrap();
    let key = wanted.customer_key().unwrap();
    let forms = [KEY.to_owned(), hex::encode(key.bytes()), format!("{:?}", key.bytes())];
    let shown = format!("{wanted:?} {:?} {:?}", Shown::Customer(key), Shown::Customer(key).emit());
    let long = format!("{KEY}{KEY}");
    let errors = [
        customer("AES256", &long, MD5),
        customer("AES256", KEY, "AAAAAAAAAAAAAAAAAAAAAA=="),
        customer("AES192", KEY, MD5),
    ]
    .map(|fields| format!("{:?}", Wanted::parse(Headers::new(&fields)).unwrap_err()));
    for text in [shown].iter().chain(&errors) {
        assert!(!forms.iter().any(|form| text.contains(form)), "{text}");
    }
}

#[test]
fn responses_say_what_an_object_is_encrypted_with() {
    let names = |shown: Shown<'_>| -> Vec<&str> {
        shown.emit().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(Shown::Managed.emit(), [(ENCRYPTION, "AES256".to_owned())]);
    let named = Shown::Named { key: "one", context: None, bucket_key: false };
    assert_eq!(names(named), [ENCRYPTION, KEY_ID]);
    let named = Shown::Named { key: "one", context: Some("e30="), bucket_key: true };
    assert_eq!(names(named), [ENCRYPTION, KEY_ID, CONTEXT, BUCKET_KEY]);
    let key = CustomerKey(Zeroizing::new([7; 32]));
    assert_eq!(Shown::Customer(&key).emit()[1].1, key.md5());
}
