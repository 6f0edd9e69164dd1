use super::*;

const INDEX: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";

fn read(inside: &str) -> Result<Website, Error> {
    Website::read(format!("<{ROOT}>{inside}</{ROOT}>").as_bytes())
}

fn pages(rules: &str) -> Pages {
    let document = format!("{INDEX}<RoutingRules>{rules}</RoutingRules>");
    let Ok(Website::Pages(pages)) = read(&document) else { return Pages::default() };
    pages
}

fn assert_refused(inside: &str, code: ErrorCode, message: &str) {
    let error = read(inside).unwrap_err();
    assert_eq!(error.code(), code, "{inside}");
    assert!(error.message().contains(message), "{inside}: {error}");
}

#[test]
fn what_aws_refuses_is_refused() {
    use ErrorCode::{InvalidArgument, InvalidRequest, MalformedXML};
    let after_index = |more: &str| format!("{INDEX}{more}");
    let elsewhere =
        |inside: &str| format!("<RedirectAllRequestsTo>{inside}</RedirectAllRequestsTo>");
    for (inside, code, message) in [
        (String::new(), InvalidArgument, "A value for IndexDocument Suffix"),
        (INDEX.replace("index.html", ""), InvalidArgument, "not well formed"),
        (INDEX.replace("index.html", "a/b"), InvalidArgument, "not well formed"),
        ("<IndexDocument/>".to_owned(), MalformedXML, ""),
        (after_index(INDEX), MalformedXML, ""),
        (after_index("<ErrorDocument/>"), MalformedXML, ""),
        (after_index("<ErrorDocument><Key/></ErrorDocument>"), MalformedXML, ""),
        (after_index("<RoutingRules/>"), MalformedXML, ""),
        (after_index("<Other/>"), MalformedXML, ""),
        (after_index(&elsewhere("<HostName>h</HostName>")), InvalidArgument, "in conjunction"),
        (elsewhere("<Protocol>http</Protocol>"), InvalidArgument, "host name must be provided"),
        (
            elsewhere("<HostName>h</HostName><Protocol>ftp</Protocol>"),
            InvalidRequest,
            "Invalid protocol",
        ),
    ] {
        assert_refused(&inside, code, message);
    }
}

#[test]
fn rules_that_aws_refuses_are_refused() {
    use ErrorCode::{InvalidRequest, MalformedXML};
    const TO: &str = "<Redirect><HostName>h</HostName></Redirect>";
    let status = |code: &str| {
        format!(
            "<Condition><HttpErrorCodeReturnedEquals>{code}</HttpErrorCodeReturnedEquals></Condition>{TO}"
        )
    };
    let redirect = |inside: &str| format!("<Redirect>{inside}</Redirect>");
    let both = "<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>";
    for (rule, code, message) in [
        (String::new(), MalformedXML, ""),
        (redirect(""), MalformedXML, ""),
        (format!("<Condition/>{TO}"), InvalidRequest, "Condition cannot be empty"),
        (status("302"), InvalidRequest, "error code (302)"),
        (status("600"), InvalidRequest, "error code (600)"),
        (status("x"), MalformedXML, ""),
        (
            redirect("<HttpRedirectCode>300</HttpRedirectCode>"),
            InvalidRequest,
            "redirect code (300)",
        ),
        (redirect(both), InvalidRequest, "not both"),
    ] {
        let rules = format!("<RoutingRules><RoutingRule>{rule}</RoutingRule></RoutingRules>");
        assert_refused(&format!("{INDEX}{rules}"), code, message);
    }
    let many = format!("<RoutingRule>{TO}</RoutingRule>").repeat(51);
    let many = format!("{INDEX}<RoutingRules>{many}</RoutingRules>");
    assert_refused(&many, InvalidRequest, "51 routing rules provided");
}

#[test]
fn all_of_a_document_comes_back() {
    for inside in [
        "<RedirectAllRequestsTo><HostName>h</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>",
        "<IndexDocument><Suffix>i</Suffix></IndexDocument><ErrorDocument><Key>e/f</Key></ErrorDocument>\
         <RoutingRules><RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>\
         <KeyPrefixEquals>p/</KeyPrefixEquals></Condition><Redirect><HostName>h</HostName>\
         <HttpRedirectCode>307</HttpRedirectCode><Protocol>http</Protocol>\
         <ReplaceKeyPrefixWith>q/</ReplaceKeyPrefixWith></Redirect></RoutingRule>\
         <RoutingRule><Redirect><ReplaceKeyWith>k</ReplaceKeyWith></Redirect></RoutingRule></RoutingRules>",
    ] {
        let website = read(inside).unwrap();
        let document = website.document();
        let text = std::str::from_utf8(&document).unwrap();
        assert!(text.contains(inside), "{text}");
        assert_eq!(Website::read(&document).unwrap(), website);
    }
}

#[test]
fn the_first_rule_that_fits_says_where_to() {
    let pages = pages(
        "<RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>\
         <Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule>\
         <RoutingRule><Condition><KeyPrefixEquals>images/</KeyPrefixEquals></Condition>\
         <Redirect><ReplaceKeyWith>gone.html</ReplaceKeyWith><HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule>\
         <RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>\
         <Redirect><HostName>other.test</HostName><Protocol>https</Protocol><ReplaceKeyPrefixWith>report-404/</ReplaceKeyPrefixWith></Redirect></RoutingRule>",
    );
    for (key, status, expected) in [
        ("docs/a b", None, Some((301, "http://h:1/documents/a%20b"))),
        ("images/", None, Some((302, "http://h:1/gone.html"))),
        ("other", None, None),
        ("other", Some(404), Some((301, "https://other.test/report-404/other"))),
        ("docs/x", Some(404), Some((301, "https://other.test/report-404/docs/x"))),
        ("other", Some(403), None),
    ] {
        let asked = Asked { protocol: "http", host: "h:1", key, query: "" };
        let rule = match status {
            None => pages.rule_of(key),
            Some(status) => pages.rule_of_error(key, status),
        };
        let found = rule.map(|rule| (rule.status(), rule.location(&asked)));
        let expected = expected.map(|(status, location)| (status, location.to_owned()));
        assert_eq!(found, expected, "{key} {status:?}");
    }
}

#[test]
fn everything_can_be_elsewhere() {
    let asked = Asked { protocol: "http", host: "h", key: "a/b", query: "x=1" };
    for (inside, expected) in [
        ("<HostName>new.test</HostName>", "http://new.test/a/b?x=1"),
        (
            "<HostName>new.test/sub</HostName><Protocol>https</Protocol>",
            "https://new.test/sub/a/b?x=1",
        ),
    ] {
        let document = format!("<RedirectAllRequestsTo>{inside}</RedirectAllRequestsTo>");
        let location = match read(&document).unwrap() {
            Website::Elsewhere(elsewhere) => elsewhere.location(&asked),
            Website::Pages(_) => String::new(),
        };
        assert_eq!(location, expected);
    }
}
