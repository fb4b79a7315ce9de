//! The one catalogue of everything a client reads, in Persian and in English. Codes are for programs and
//! never change; texts are for people. The status and notice texts are those of PRODUCT.md section 3.

use engine::{Notice, Reason, Status};
use ledger::Language;

/// One text in both languages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    persian: &'static str,
    english: &'static str,
}

impl Text {
    /// The text in this language.
    pub(crate) fn of(self, language: Language) -> &'static str {
        match language {
            Language::Persian => self.persian,
            Language::English => self.english,
        }
    }
}

const fn text(persian: &'static str, english: &'static str) -> Text {
    Text { persian, english }
}

/// The message beside a status.
pub(crate) fn status(status: Status) -> Text {
    match status {
        Status::Covered => text("حمایت درمانی دارد", "Covered for treatment"),
        Status::NotCovered => text("حمایت درمانی ندارد", "Not covered for treatment"),
    }
}

/// The message beside a notice.
pub(crate) fn notice(notice: Notice) -> Text {
    match notice {
        Notice::OverlapCheckRequired => text(
            "در بخش بستری، فرآیند اخذ استحقاق درمان و رفع همپوشانی سازمان‌های بیمه‌گر پایه به قوت خود باقی است",
            "For inpatient care, the entitlement process and the removal of overlaps between base insurers remain in force",
        ),
        Notice::OtherBaseInsurer => text(
            "این شخص نزد سازمان بیمه‌گر پایه دیگری نیز ثبت شده است",
            "This person is also registered with another base insurer",
        ),
        Notice::ServeUnderExistingRules => text(
            "تا برقراری تعامل الکترونیکی، خدمات درمانی این فرزند مطابق ضوابط و روال جاری ارائه می‌شود",
            "Until the electronic exchange is in place, this child is treated under the existing rules and practice",
        ),
        Notice::RecordIncomplete => {
            text("اطلاعات بیمه‌ای این شخص ناقص است", "This person's insurance record is incomplete")
        }
        Notice::ObjectionLine => text(
            "در صورت اعتراض به وضعیت استحقاق درمان با سامانه ۱۴۲۰ تماس بگیرید",
            "To object to this entitlement status, call 1420",
        ),
    }
}

/// The message beside a reason, which only the person and the desk see.
pub(crate) fn reason(reason: Reason) -> Text {
    match reason {
        Reason::Active => text("حمایت درمانی در این تاریخ برقرار است", "Cover is in force on this date"),
        Reason::StudentCertificateMissing => text(
            "برای فرزند پسری که ۱۹ سال او تمام شده، گواهی اشتغال به تحصیل معتبر در این تاریخ ثبت نشده است",
            "No university certificate valid on this date is on record for a son who has turned 19",
        ),
        Reason::IdentityDocumentMissing => text(
            "مدرک هویتی این فرزند در مهلت مقرر ارائه نشده است",
            "This child's identity document was due and has not been presented",
        ),
        Reason::NotStarted => {
            text("حمایت درمانی در این تاریخ هنوز آغاز نشده است", "Cover has not started by this date")
        }
        Reason::Ended => {
            text("حمایت درمانی پیش از این تاریخ پایان یافته است", "Cover ended before this date")
        }
        Reason::RecordIncomplete => {
            text("اطلاعات بیمه‌ای این شخص ناقص است", "This person's insurance record is incomplete")
        }
        Reason::UnknownPerson => text(
            "شخصی با این شماره در فهرست بیمه‌شدگان یافت نشد",
            "Nobody by this number is among the insured",
        ),
    }
}

/// Declares the error codes, each with its HTTP status, title and detail: one list, so that a code cannot
/// lack a text.
macro_rules! codes {
    ($($name:ident $status:literal $code:literal:
        $title_fa:literal / $title_en:literal, $detail_fa:literal / $detail_en:literal;)*) => {
        /// The stable code of an error (PRODUCT.md section 4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $(#[doc = $title_en] $name,)* }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Code] = &[$(Code::$name,)*];

            /// The code as clients see it.
            pub(crate) fn code(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// The HTTP status it goes with.
            pub(crate) fn http_status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// A short text, the same for every occurrence.
            pub(crate) fn title(self) -> Text {
                match self { $(Code::$name => text($title_fa, $title_en),)* }
            }

            /// What is wrong and what to do.
            pub(crate) fn detail(self) -> Text {
                match self { $(Code::$name => text($detail_fa, $detail_en),)* }
            }
        }
    };
}

codes! {
    MalformedJson 400 "malformed_json":
        "متن درخواست خوانا نیست" / "The request body cannot be read",
        "بدنه درخواست باید یک شیء JSON درست و بدون نام تکراری با کدگذاری UTF-8 باشد"
        / "The body must be one well-formed JSON object in UTF-8, without repeated names";
    MalformedRequest 400 "malformed_request":
        "درخواست خوانا نیست" / "The request cannot be read",
        "درخواست از قالب HTTP/1.1 پیروی نمی‌کند؛ خط نخست و سرآیندهای آن را بررسی کنید"
        / "The request is not well-formed HTTP/1.1; check its first line and its headers";
    UnknownField 400 "unknown_field":
        "فیلد ناشناخته" / "Unknown field",
        "این فیلد در این درخواست تعریف نشده است؛ آن را حذف کنید"
        / "This field is not part of this request; leave it out";
    Unauthorized 401 "unauthorized":
        "احراز هویت نشد" / "Not authenticated",
        "کلید دسترسی را در سرآیند Authorization به شکل Bearer بفرستید؛ کلید فرستاده نشده یا معتبر نیست"
        / "Send the key in the Authorization header as a Bearer token; it is missing or not valid";
    MissingScope 403 "missing_scope":
        "دسترسی کافی نیست" / "Missing scope",
        "این کلید اجازه این درخواست را ندارد" / "This key may not make this request";
    CareNotAllowed 403 "care_not_allowed":
        "استعلام بستری مجاز نیست" / "Care not allowed",
        "استعلام بستری تنها برای بیمارستان‌ها ممکن است" / "Only hospitals may ask about inpatient care";
    MobileMismatch 403 "mobile_mismatch":
        "عدم تطابق کد ملی با شماره موبایل" / "The ID and the mobile number do not match",
        "این شماره موبایل برای این کد ملی ثبت نشده است؛ برای ثبت یا اصلاح آن به شعبه تأمین اجتماعی مراجعه کنید"
        / "This mobile number is not registered for this ID; visit a Social Security branch to register or correct it";
    NotFound 404 "not_found":
        "یافت نشد" / "Not found",
        "چیزی با این نشانی یا کد رهگیری برای شما یافت نشد؛ کد را بررسی کنید"
        / "Nothing was found for you under this address or tracking code; check the code";
    UnknownGeneration 404 "unknown_generation":
        "این نسخه موجود نیست" / "No such generation",
        "نسخه‌ای با این نام در پوشه نسخه‌ها نیست؛ فهرست نسخه‌ها را ببینید"
        / "No generation by that name is in the snapshots folder; see the list of generations";
    MethodNotAllowed 405 "method_not_allowed":
        "روش درخواست مجاز نیست" / "Method not allowed",
        "روش‌های مجاز در سرآیند Allow آمده‌اند" / "The Allow header names the methods that work here";
    RequestTimeout 408 "request_timeout":
        "درخواست به‌موقع نرسید" / "The request took too long",
        "درخواست در مهلت مقرر کامل نرسید؛ دوباره بفرستید" / "The request did not arrive whole in time; send it again";
    GenerationRefused 409 "generation_refused":
        "نسخه پذیرفته نشد" / "The generation was refused",
        "این کار انجام نشد یا نسخه پذیرفته نشد؛ دلیل در reason آمده است"
        / "It was not done, or this server does not take the generation; the member reason says why";
    BodyTooLarge 413 "body_too_large":
        "درخواست بیش از اندازه بزرگ است" / "The body is too large",
        "بدنه درخواست نباید از ۴ کیبی‌بایت بیشتر باشد" / "The body may not exceed 4 KiB";
    UnsupportedMediaType 415 "unsupported_media_type":
        "نوع محتوا پشتیبانی نمی‌شود" / "Unsupported media type",
        "درخواست را با Content-Type برابر application/json و بدون فشرده‌سازی بفرستید"
        / "Send the request as Content-Type application/json, not compressed";
    OtherLedger 421 "other_ledger":
        "کد رهگیری از دفتر دیگری است" / "The tracking code belongs to another ledger",
        "این کد رهگیری را گره دیگری صادر کرده است؛ از همان گره بپرسید"
        / "Another node issued this tracking code; ask that node";
    HeadTooLarge 431 "head_too_large":
        "سرآیندها بیش از اندازه بزرگ‌اند" / "The headers are too large",
        "سرآیندهای درخواست روی هم نباید از ۱۶ کیبی‌بایت و ۹۶ خط بیشتر باشند"
        / "The headers of a request may not exceed 16 KiB and 96 lines in all";
    Required 422 "required":
        "فیلد لازم نیامده است" / "A field is missing",
        "این فیلد لازم است" / "This field is required";
    BadType 422 "bad_type":
        "نوع مقدار نادرست است" / "Wrong type",
        "مقدار این فیلد باید رشته باشد" / "The value of this field must be a string";
    BadEnum 422 "bad_enum":
        "مقدار ناشناخته" / "Unknown value",
        "مقدار این فیلد از مقدارهای مجاز نیست" / "The value of this field is not one of those allowed";
    BadPersonId 422 "bad_person_id":
        "شماره نادرست است" / "Not an ID",
        "کد ملی ۸ تا ۱۰ رقم و شماره اتباع خارجی ۸ تا ۱۶ رقم است"
        / "A national ID has 8 to 10 digits, a foreign national's number 8 to 16";
    BadCheckDigit 422 "bad_check_digit":
        "کد ملی نادرست است" / "The check digit is wrong",
        "رقم کنترل کد ملی درست نیست؛ آن را با کارت ملی بسنجید"
        / "The check digit of the national ID is wrong; compare it with the card";
    BadDate 422 "bad_date":
        "تاریخ نادرست است" / "Not a date",
        "تاریخ را به شکل YYYY/MM/DD یا YYYY-MM-DD یا YYYYMMDD بنویسید، شمسی یا میلادی"
        / "Write the date as YYYY/MM/DD, YYYY-MM-DD or YYYYMMDD, Jalali or Gregorian";
    DateOutOfRange 422 "date_out_of_range":
        "تاریخ خارج از محدوده است" / "The date is out of range",
        "تاریخ باید میان ۱۲۷۸/۱۰/۱۱ و ۱۴۵۸/۰۳/۱۵ باشد" / "The date must lie within 1900-01-01 and 2079-06-05";
    BadMobile 422 "bad_mobile":
        "شماره موبایل نادرست است" / "Not a mobile number",
        "شماره موبایل را به شکل 09xxxxxxxxx بنویسید" / "Write the mobile number as 09xxxxxxxxx";
    DateNotAllowed 422 "date_not_allowed":
        "این تاریخ برای این کلید مجاز نیست" / "This key may not ask about this date",
        "این کلید تنها درباره تاریخ‌های مجاز خود می‌پرسد: امروز، یا برای رسیدگی به اسناد ۳۶۵ روز گذشته"
        / "A key may ask about its own dates only: today, or for claims also the last 365 days";
    BadSpan 422 "bad_span":
        "بازه روزها نادرست است" / "Not a span of days",
        "روز نخست نباید پس از روز آخر باشد و بازه نباید از ۴۰۰ روز بیشتر باشد"
        / "The first day may not be after the last one, and the span may not exceed 400 days";
    BadLimit 422 "bad_limit":
        "تعداد نادرست است" / "Not a number of inquiries",
        "تعداد باید عددی صحیح از ۱ تا ۱۰۰ باشد" / "Give a whole number from 1 to 100";
    BadCursor 422 "bad_cursor":
        "نشانگر صفحه نادرست است" / "Not a cursor of this search",
        "نشانگر صفحه از جست‌وجوی همین شخص نیست؛ جست‌وجو را بدون آن از نو آغاز کنید"
        / "The cursor is not from a search for this person; begin again without it";
    BadGeneration 422 "bad_generation":
        "نام نسخه نادرست است" / "Not the name of a generation",
        "نام نسخه به شکل 2026-11-22-3fa9c1d2e4b5 است"
        / "The name of a generation looks like 2026-11-22-3fa9c1d2e4b5";
    BadIdempotencyKey 422 "bad_idempotency_key":
        "کلید Idempotency-Key نادرست است" / "Not an idempotency key",
        "سرآیند Idempotency-Key باید یک رشته ۱ تا ۲۵۵ نویسه‌ای از نویسه‌های دیدنی ASCII باشد و تنها یک بار بیاید"
        / "The Idempotency-Key header is one string of 1 to 255 visible ASCII characters, and comes once";
    IdempotencyConflict 422 "idempotency_conflict":
        "این کلید برای درخواست دیگری به کار رفته است" / "The key was used for another request",
        "در ۲۴ ساعت گذشته درخواست دیگری با همین Idempotency-Key آمده است؛ برای درخواست تازه کلید تازه‌ای بفرستید"
        / "Another request came with this Idempotency-Key within 24 hours; send a new key with a new request";
    BadReason 422 "bad_reason":
        "دلیل نادرست است" / "Not a reason",
        "دلیل باید متنی ناتهی و حداکثر ۵۰۰ نویسه باشد" / "A reason is a text of 1 to 500 characters that is not blank";
    Unavailable 503 "unavailable":
        "اکنون پاسخ ممکن نیست" / "Cannot answer now",
        "سامانه اکنون نمی‌تواند پاسخ دهد؛ پس از مدت گفته‌شده در Retry-After دوباره بپرسید"
        / "The service cannot answer now; ask again after the time in Retry-After";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ledger::Language;

    use super::Code;

    #[test]
    fn every_code_is_there_once_with_texts_in_both_languages() {
        let codes: HashSet<&str> = Code::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..=599).contains(&code.http_status()));
            for text in [code.title(), code.detail()] {
                assert!(text.of(Language::English).is_ascii(), "{code:?}");
                assert!(text.of(Language::Persian).chars().any(|c| ('\u{0600}'..='\u{06FF}').contains(&c)));
            }
        }
    }

    #[test]
    fn the_title_of_a_mismatch_is_the_contract_s() {
        assert_eq!(Code::MobileMismatch.title().of(Language::Persian), "عدم تطابق کد ملی با شماره موبایل");
    }
}
