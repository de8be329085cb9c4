import java.math.BigInteger;
import java.security.Provider;
import java.security.SecureRandom;
import java.util.Date;
import java.util.List;

import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cms.SignerInfoGenerator;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TSPAlgorithms;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.tsp.TimeStampTokenGenerator;
import org.bouncycastle.cert.jcajce.JcaCertStore;

/** Timestamp tokens (RFC 3161) made in the process itself with Bouncy Castle and a key in the token. */
final class TimestampUnit {
    private static final ASN1ObjectIdentifier POLICY = new ASN1ObjectIdentifier("1.3.6.1.4.1.32473.1.1");

    private final Peer.Key key;
    private final Provider token;
    private final DigestCalculatorProvider digests;
    private final SecureRandom random = new SecureRandom();

    TimestampUnit(Peer.Key key, Provider token) throws Exception {
        this.key = key;
        this.token = token;
        digests = new JcaDigestCalculatorProviderBuilder().build();
    }

    TimeStampToken stamp(byte[] imprint) throws Exception {
        TimeStampRequestGenerator asking = new TimeStampRequestGenerator();
        asking.setCertReq(true);
        TimeStampRequest request = asking.generate(TSPAlgorithms.SHA256, imprint);
        ContentSigner signer = new JcaContentSignerBuilder(key.algorithm()).setProvider(token).build(key.key());
        SignerInfoGenerator signing =
                new JcaSignerInfoGeneratorBuilder(digests).build(signer, new JcaX509CertificateHolder(key.certificate()));
        TimeStampTokenGenerator tokens =
                new TimeStampTokenGenerator(signing, digests.get(new AlgorithmIdentifier(NISTObjectIdentifiers.id_sha256)), POLICY);
        tokens.addCertificates(new JcaCertStore(List.of(key.certificate())));
        return tokens.generate(request, new BigInteger(128, random), new Date());
    }
}
