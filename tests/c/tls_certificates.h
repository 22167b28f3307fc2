/* Certificates made on the spot, for the tests of TLS: P-256, one day, in PEM as files have them. */
#ifndef GP_TESTS_TLS_CERTIFICATES_H
#define GP_TESTS_TLS_CERTIFICATES_H

#include "check.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct credential {
    EVP_PKEY *pkey;
    X509 *x509;
    uint8_t *cert, *key; /* PEM */
    uint32_t cert_len, key_len;
};

struct wish {
    const char *name, *alternatives;
    const struct credential *issuer; /* NULL: itself, as an authority */
};

static inline void add_extension(X509 *cert, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);

    CHECK(extension != NULL);
    CHECK(X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static inline uint8_t *pem_of(BIO *bio, uint32_t *len)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    uint8_t *copy = malloc((size_t)size);

    CHECK(copy != NULL);
    memcpy(copy, data, (size_t)size);
    *len = (uint32_t)size;
    BIO_free(bio);
    return copy;
}

static inline void write_pem(struct credential *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, c->x509));
    c->cert = pem_of(bio, &c->cert_len);
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PrivateKey(bio, c->pkey, NULL, NULL, 0, NULL, NULL));
    c->key = pem_of(bio, &c->key_len);
}

static inline struct credential make_credential(const struct wish *wish)
{
    static long serial = 1;
    struct credential c = {.pkey = EVP_EC_gen("P-256"), .x509 = X509_new()};
    const struct credential *issuer = wish->issuer ? wish->issuer : &c;
    X509_NAME *name = X509_get_subject_name(c.x509);
    X509V3_CTX context;

    CHECK(c.pkey != NULL && c.x509 != NULL);
    X509_set_version(c.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), 86400);
    X509_set_pubkey(c.x509, c.pkey);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *)"Test , Ltd", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)wish->name, -1, -1, 0);
    X509_set_issuer_name(c.x509, X509_get_subject_name(issuer->x509));
    X509V3_set_ctx(&context, issuer->x509, c.x509, NULL, NULL, 0);
    add_extension(c.x509, &context, NID_basic_constraints,
                  wish->issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (wish->alternatives)
        add_extension(c.x509, &context, NID_subject_alt_name, wish->alternatives);
    CHECK(X509_sign(c.x509, issuer->pkey, EVP_sha256()));
    write_pem(&c);
    return c;
}

static inline void free_credential(struct credential *c)
{
    EVP_PKEY_free(c->pkey);
    X509_free(c->x509);
    free(c->cert);
    free(c->key);
}

#endif
