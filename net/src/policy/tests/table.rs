//! Conditions by table: for an operator and what a request has, values of a policy and whether the condition holds.
//!
//! Each pair of a value and `y` or `n` is a row. "IAM JSON policy elements: Condition operators" of the IAM user guide.

use super::*;

/// `operator fact : value y/n , value y/n ...`; a fact is `key=value`, or `key` where the request hasn't got it.
const TABLE: &str = r#"
StringEquals prefix=home/a : "home/a" y , "home/A" n , "home/" n , "home/a " n , "" n , "*" n , "home/?" n , ["x","home/a"] y , ["x","y"] n , "${s3:prefix}" y , "${s3:delimiter}" n , "${s3:delimiter, 'home/a'}" y , "${aws:SourceIp}" n , "home/${*}" n
StringEquals prefix= : "" y , "a" n , "*" n
StringEquals prefix : "" n , "a" n , "*" n , "${s3:prefix}" n , ["","a"] n
StringEquals prefix=* : "*" y , "${*}" y , "?" n , "a" n
StringEquals prefix=ä : "ä" y , "Ä" n , "a" n , "ae" n
StringNotEquals prefix=home/a : "home/a" n , "home/A" y , "*" y , ["x","home/a"] n , ["x","y"] y , "${s3:prefix}" n , "${s3:delimiter}" y
StringNotEquals prefix : "" y , "a" y , ["a","b"] y
StringEqualsIgnoreCase prefix=Home : "home" y , "HOME" y , "Home" y , "homes" n , "" n , ["x","hOmE"] y , "h?me" n
StringEqualsIgnoreCase prefix=Ä : "ä" y , "Ä" y , "a" n
StringEqualsIgnoreCase prefix : "home" n , "" n
StringNotEqualsIgnoreCase prefix=Home : "home" n , "house" y , ["x","HOME"] n , ["x","y"] y
StringNotEqualsIgnoreCase prefix : "home" y
StringLike prefix=home/a/b : "home/a/b" y , "home/*" y , "*" y , "home/*/b" y , "home/?/b" y , "home/?" n , "HOME/*" n , "*b" y , "*c" n , "**" y , "h*e/*b" y , "" n , "home" n , ["x*","home/*"] y , "home/${s3:delimiter, 'a'}/*" y , "${s3:prefix}" y , "home/${*}" n , "?ome/a/b" y , "??home/a/b" n
StringLike prefix= : "*" y , "" y , "?" n , "**" y
StringLike prefix : "*" n , "" n
StringLike prefix=a*b : "a*b" y , "a${*}b" y , "a${?}b" n , "a?b" y , "axb" n
StringNotLike prefix=home/a : "home/*" n , "house/*" y , "*" n , ["x*","h*"] n , ["x*","y*"] y
StringNotLike prefix : "*" y , "a" y
StringEqualsIfExists prefix=a : "a" y , "b" n
StringEqualsIfExists prefix : "a" y , "" y , ["a","b"] y
StringNotEqualsIfExists prefix=a : "a" n , "b" y
StringNotEqualsIfExists prefix : "a" y
StringLikeIfExists prefix=abc : "a*" y , "b*" n
StringLikeIfExists prefix : "b*" y
StringEqualsIgnoreCaseIfExists prefix=A : "a" y , "b" n
StringEqualsIgnoreCaseIfExists prefix : "b" y
NumericEquals max-keys=10 : "10" y , 10 y , "10.0" y , "1e1" y , "9" n , "-10" n , ["9","10"] y , 10.5 n
NumericEquals max-keys=1.5 : "1.5" y , 1.50 y , "1" n , "2" n
NumericEquals max-keys=many : "10" n , "0" n
NumericEquals max-keys : "10" n , "0" n
NumericNotEquals max-keys=10 : "10" n , 9 y , ["9","10"] n , ["8","9"] y
NumericNotEquals max-keys : "10" y
NumericLessThan max-keys=10 : "11" y , "10" n , "9" n , "10.01" y , ["1","11"] y , "-1" n
NumericLessThan max-keys=-5 : "0" y , "-5" n , "-6" n , "-4.9" y
NumericLessThan max-keys : "11" n
NumericLessThanEquals max-keys=10 : "11" y , "10" y , "9" n , "9.999" n , "10.0" y
NumericLessThanEquals max-keys : "10" n
NumericGreaterThan max-keys=10 : "9" y , "10" n , "11" n , ["20","9"] y , "9.999" y
NumericGreaterThan max-keys : "9" n
NumericGreaterThanEquals max-keys=10 : "9" y , "10" y , "11" n , "10.001" n
NumericGreaterThanEquals max-keys : "0" n
NumericLessThanIfExists max-keys=10 : "11" y , "10" n
NumericLessThanIfExists max-keys : "1" y
NumericEqualsIfExists max-keys : "1" y
DateEquals now : "2026-01-01T00:00:00Z" y , "2026-01-01" y , "1767225600" y , 1767225600 y , "2026-01-01T00:00:01Z" n , "2025-12-31" n , ["2025-12-31","2026-01-01"] y
DateNotEquals now : "2026-01-01T00:00:00Z" n , "2026-01-02" y , ["2025-12-31","2026-01-01"] n
DateLessThan now : "2026-01-01T00:00:00Z" n , "2026-01-01T00:00:01Z" y , "2027-01-01" y , "2025-12-31" n , "1767225601" y
DateLessThanEquals now : "2026-01-01T00:00:00Z" y , "2025-12-31T23:59:59Z" n , "2026-02-01" y
DateGreaterThan now : "2026-01-01T00:00:00Z" n , "2025-12-31T23:59:59Z" y , "2027-01-01" n , "0" y
DateGreaterThanEquals now : "2026-01-01T00:00:00Z" y , "2026-01-01T00:00:01Z" n , "1970-01-01" y
DateEquals epoch : "1767225600" y , "2026-01-01" y , "1767225601" n
DateLessThan epoch : "1767225601" y , "1767225600" n
DateGreaterThanIfExists now : "2025-01-01" y , "2027-01-01" n
Bool tls=false : "false" y , false y , "true" n , true n , ["true","false"] y
Bool prefix=true : "true" y , "false" n
Bool prefix=yes : "true" n , "false" n
Bool prefix : "true" n , "false" n
BoolIfExists prefix : "true" y , "false" y
BoolIfExists prefix=true : "true" y , "false" n
IpAddress ip=10.1.2.3 : "10.1.2.3" y , "10.1.2.3/32" y , "10.1.2.0/24" y , "10.1.2.4/32" n , "10.1.2.2/31" y , "10.1.2.4/30" n , "10.0.0.0/8" y , "0.0.0.0/0" y , "11.0.0.0/8" n , "::/0" n , ["192.0.2.0/24","10.1.0.0/16"] y , ["192.0.2.0/24","2001:db8::/32"] n , "10.1.2.99/24" y
IpAddress ip=2001:db8::7 : "2001:db8::/32" y , "2001:db8::7" y , "2001:db8::6/127" y , "2001:db8::8/125" n , "2001:db9::/32" n , "::/0" y , "0.0.0.0/0" n
NotIpAddress ip=10.1.2.3 : "10.1.2.3" n , "10.1.2.0/24" n , "192.0.2.0/24" y , ["192.0.2.0/24","10.1.0.0/16"] n , ["192.0.2.0/24","198.51.100.0/24"] y , "::/0" y
IpAddressIfExists ip=10.1.2.3 : "10.0.0.0/8" y , "11.0.0.0/8" n
Null prefix=a : "false" y , "true" n , false y , true n , ["true","false"] y
Null prefix= : "false" y , "true" n
Null prefix : "true" y , "false" n , true y , ["true","false"] y
ForAnyValue:StringEquals tags=a,b : "a" y , "b" y , "c" n , ["c","b"] y , ["c","d"] n
ForAnyValue:StringEquals tags : "a" n , ["a","b"] n
ForAnyValue:StringLike tags=alpha,beta : "al*" y , "b*" y , "c*" n , "?lpha" y
ForAnyValue:StringNotEquals tags=a,b : "a" y , ["a","b"] n , "c" y
ForAnyValue:StringNotEquals tags : "a" n
ForAllValues:StringEquals tags=a,b : ["a","b"] y , ["a","b","c"] y , "a" n , ["a","c"] n
ForAllValues:StringEquals tags : "a" y , ["a","b"] y
ForAllValues:StringLike tags=alpha,beta : "*" y , "al*" n , ["al*","be*"] y
ForAllValues:StringNotEquals tags=a,b : "a" n , "c" y , ["c","b"] n
ForAllValues:StringNotEquals tags : "a" y
ForAllValues:StringEqualsIgnoreCase tags=A,b : ["a","B"] y , ["a"] n
ForAnyValue:StringEqualsIgnoreCase tags=A,b : "B" y , "c" n
ArnLike arn=arn:aws:iam::123456789012:user/a : "arn:aws:iam::123456789012:user/*" y , "arn:aws:iam::*:user/a" y , "arn:aws:iam::123456789012:role/*" n , "*" y
ArnEquals arn=arn:aws:iam::123456789012:user/a : "arn:aws:iam::123456789012:user/a" y , "arn:aws:iam::123456789012:user/?" y , "arn:aws:iam::123456789012:user/b" n
ArnNotLike arn=arn:aws:iam::123456789012:user/a : "arn:aws:iam::123456789012:user/*" n , "arn:aws:iam::1*:role/*" y
ArnNotEquals arn=arn:aws:iam::123456789012:user/a : "arn:aws:iam::123456789012:user/a" n , "arn:aws:iam::123456789012:user/b" y
ArnLike arn : "*" n , "arn:*" n
ArnNotLike arn : "*" y
ArnLikeIfExists arn : "arn:*" y
StringLikeIfExists prefix= : "*" y , "a*" n
StringNotLikeIfExists prefix=abc : "a*" n , "b*" y , ["b*","c*"] y
StringNotLikeIfExists prefix : "a*" y
NumericGreaterThanEqualsIfExists max-keys=10 : "10" y , "11" n
NumericGreaterThanEqualsIfExists max-keys : "11" y
NotIpAddress ip=2001:db8::7 : "2001:db8::/32" n , "10.0.0.0/8" y
"#;

/// The key of a condition for what a fact is about, and the request that has it.
fn holds(operator: &str, fact: &str, value: &str) -> bool {
    let (name, has) = fact.split_once('=').map_or((fact, None), |(name, has)| (name, Some(has)));
    let (prefix, keys) = (
        format!("prefix={}", has.unwrap_or_default()),
        format!("max-keys={}", has.unwrap_or_default()),
    );
    let tags: Vec<(&str, &str)> = has
        .filter(|_| name == "tags")
        .unwrap_or_default()
        .split(',')
        .map(|key| (key, ""))
        .collect();
    let mut asked = Asked::default();
    let key = match name {
        "prefix" => "s3:prefix",
        "max-keys" => "s3:max-keys",
        "now" => "aws:CurrentTime",
        "epoch" => "aws:EpochTime",
        "tls" => "aws:SecureTransport",
        "ip" => "aws:SourceIp",
        "tags" => "s3:RequestObjectTagKeys",
        "arn" => "aws:PrincipalArn",
        _ => unreachable!("{fact}"),
    };
    match (name, has) {
        ("prefix", Some(_)) => asked.query = &prefix,
        ("max-keys", Some(_)) => asked.query = &keys,
        ("ip", Some(address)) => asked.source = address,
        ("tags", Some(_)) => asked.new_tags = &tags,
        ("arn", Some(arn)) => (asked.account, asked.arn) = (Some(ACCOUNT), Some(arn)),
        (_, _) => {}
    }
    let condition = format!("{{\"{operator}\":{{\"{key}\":{value}}}}}");
    asked.decide(&allow_when(&condition)) == Decision::Allowed
}

#[test]
fn conditions_hold_as_the_table_says() {
    let mut rows = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let (head, values) = line.split_once(" : ").unwrap();
        let (operator, fact) = head.split_once(' ').unwrap();
        for row in values.split(" , ") {
            let (value, expected) = row.rsplit_once(' ').unwrap();
            assert!(matches!(expected, "y" | "n"), "{line}");
            assert_eq!(holds(operator, fact, value), expected == "y", "{operator} {fact} {value}");
            rows += 1;
        }
    }
    assert!(rows >= 300, "the table has {rows} rows");
}
