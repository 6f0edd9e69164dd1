use super::{cli::LogFormat, *};

fn flags() -> cli::Serve {
    cli::Serve { data: vec!["/a".into()], ..cli::Serve::default() }
}

fn file(text: &str) -> file::File {
    toml::from_str(text).expect("a good file")
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let text = "data = ['/b']\nlisten = '10.0.0.1:80'\nmemory = '1GiB'\n[log]\nformat = 'json'\n";
    let merged = Settings::merge(&flags(), file(text)).unwrap();
    assert_eq!(merged.data, [PathBuf::from("/a")]);
    assert_eq!(merged.listen.to_string(), "10.0.0.1:80");
    assert_eq!(merged.memory_bytes, 1 << 30);
    assert_eq!(merged.log.format, LogFormat::Json);
    let bare = Settings::merge(&flags(), file::File::default()).unwrap();
    assert_eq!(bare.listen, limits::LISTEN_DEFAULT);
    assert_eq!(bare.log.filter, limits::LOG_FILTER_DEFAULT);
}

#[test]
fn each_bad_value_names_its_setting() {
    let half_tls = cli::Serve { tls_key: Some("k".into()), ..flags() };
    let half_credentials = cli::Serve { access_key_id: Some("AK".into()), ..flags() };
    let twice = cli::Serve { data: vec!["/a".into(), "/a".into()], ..flags() };
    let slow = cli::Serve { scrub_rate: Some(ByteSize::b(1)), ..flags() };
    let both = Some("s3.test".to_owned());
    let one_domain = cli::Serve { domain: both.clone(), website_domain: both, ..flags() };
    let class = "STANDARD_IA=/a".parse().unwrap();
    let both_kinds = cli::Serve { data_class: vec![class], ..flags() };
    let small = cli::Serve { memory: Some(ByteSize::mib(1)), ..flags() };
    for (flags, setting) in [
        (cli::Serve::default(), "data:"),
        (twice, "data:"),
        (half_tls, "tls:"),
        (half_credentials, "ANODE_ACCESS_KEY_ID:"),
        (small, "memory:"),
        (one_domain, "website.domain:"),
        (slow, "scrub.rate:"),
        (both_kinds, "data-class:"),
    ] {
        let error = Settings::merge(&flags, file::File::default()).unwrap_err().to_string();
        assert!(error.starts_with(setting), "{error}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_refused_by_name() {
    let error = toml::from_str::<file::File>("lisen = '127.0.0.1:9000'").unwrap_err().to_string();
    assert!(error.contains("lisen"), "{error}");
}

#[test]
fn a_secret_is_not_shown() {
    let source = CredentialSource::Given {
        access_key: "AKSHOWN".to_owned(),
        secret_key: "hidden".to_owned(),
    };
    let shown = format!("{source:?}");
    assert!(shown.contains("AKSHOWN") && !shown.contains("hidden"), "{shown}");
    let flags = cli::Serve {
        access_key_id: Some("AKSHOWN".to_owned()),
        secret_access_key: Some(Secret("a-hidden-one".to_owned())),
        ..flags()
    };
    let command = cli::Cli { command: cli::Command::Serve(Box::new(flags.clone())) };
    let settings = Settings::merge(&flags, file::File::default()).unwrap();
    for shown in [format!("{flags:?}"), format!("{command:?}"), format!("{settings:?}")] {
        assert!(shown.contains("AKSHOWN") && !shown.contains("hidden"), "{shown}");
    }
}

#[test]
fn metrics_are_for_this_machine_until_somebody_says_otherwise() {
    let metrics =
        |flags: &cli::Serve, text: &str| Settings::merge(flags, file(text)).unwrap().metrics;
    assert_eq!(metrics(&flags(), ""), Exposure::Loopback);
    assert_eq!(metrics(&flags(), "metrics = 'all'"), Exposure::All);
    let off = cli::Serve { metrics: Some(Exposure::Off), ..flags() };
    assert_eq!(metrics(&off, "metrics = 'all'"), Exposure::Off);
    toml::from_str::<file::File>("metrics = 'some'").unwrap_err();
}

#[test]
fn scrub_is_on_until_it_is_turned_off() {
    let plan = |flags: &cli::Serve, text: &str| Settings::merge(flags, file(text)).unwrap().scrub;
    let default = plan(&flags(), "").unwrap();
    assert_eq!(default.period, limits::SCRUB_PERIOD_DEFAULT);
    assert_eq!(default.rate_bytes_max, limits::SCRUB_RATE_DEFAULT);
    assert_eq!(plan(&flags(), "[scrub]\nperiod = 'off'"), None);
    let given = cli::Serve { scrub_period: Some("12h".parse().unwrap()), ..flags() };
    let both = plan(&given, "[scrub]\nperiod = 'off'\nrate = '1MiB'").unwrap();
    assert_eq!((both.period.as_secs(), both.rate_bytes_max), (12 * 3600, 1 << 20));
    toml::from_str::<file::File>("[scrub]\nperiod = 'weekly'").unwrap_err();
}

#[test]
fn a_file_that_cannot_be_read_names_its_line_and_no_secret() {
    for line in ["auth_token = canary7f3c", "auth_tokn = 'canary7f3c'", "auth_token = 'canary7f3c"]
    {
        let text = format!("[[notification.webhook]]\nname = 'a'\n{line}\n");
        let error = file::parse(&text).unwrap_err();
        assert!(error.starts_with("line 3, auth_tok") && !error.contains("canary7f3c"), "{error}");
    }
}
