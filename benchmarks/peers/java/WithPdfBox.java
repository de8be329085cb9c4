import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.Provider;
import java.util.Arrays;
import java.util.Calendar;
import java.util.List;

import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.PDSignature;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.SignatureInterface;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.SignatureOptions;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1Primitive;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.ess.ESSCertIDv2;
import org.bouncycastle.asn1.ess.SigningCertificateV2;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.DefaultSignedAttributeTableGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationStore;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/** Apache PDFBox 2 with Bouncy Castle. */
final class WithPdfBox implements Peer.Signer {
    private static final int CMS_BYTES = 16 * 1024;

    private final Peer.Key seal;
    private final TimestampUnit unit;
    private final Provider token;
    private final DigestCalculatorProvider digests;
    private final JcaCertStore certificates;
    private final AttributeTable signingCertificate;

    WithPdfBox(Peer.Key seal, TimestampUnit unit, Provider token) throws Exception {
        this.seal = seal;
        this.unit = unit;
        this.token = token;
        digests = new JcaDigestCalculatorProviderBuilder().build();
        certificates = new JcaCertStore(Arrays.asList(seal.chain()));
        SigningCertificateV2 value = new SigningCertificateV2(new ESSCertIDv2(Peer.sha256(seal.certificate().getEncoded())));
        ASN1EncodableVector attributes = new ASN1EncodableVector();
        attributes.add(new Attribute(PKCSObjectIdentifiers.id_aa_signingCertificateV2, new DERSet(value)));
        signingCertificate = new AttributeTable(attributes);
    }

    @Override
    public byte[] sign(byte[] document) throws Exception {
        ByteArrayOutputStream out = Peer.buffer(document);
        try (PDDocument pdf = PDDocument.load(document);
                SignatureOptions options = new SignatureOptions()) {
            PDSignature signature = new PDSignature();
            signature.setFilter(PDSignature.FILTER_ADOBE_PPKLITE);
            signature.setSubFilter(PDSignature.SUBFILTER_ETSI_CADES_DETACHED);
            signature.setSignDate(Calendar.getInstance());
            options.setPreferredSignatureSize(CMS_BYTES);
            pdf.addSignature(signature, (SignatureInterface) this::cms, options);
            pdf.saveIncremental(out);
        }
        return out.toByteArray();
    }

    private byte[] cms(InputStream content) throws IOException {
        try {
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            JcaSignerInfoGeneratorBuilder signing = new JcaSignerInfoGeneratorBuilder(digests);
            signing.setSignedAttributeGenerator(withoutSigningTime());
            generator.addSignerInfoGenerator(
                    signing.build(
                            new JcaContentSignerBuilder(seal.algorithm()).setProvider(token).build(seal.key()),
                            new JcaX509CertificateHolder(seal.certificate())));
            generator.addCertificates(certificates);
            CMSSignedData signed = generator.generate(new CMSProcessableByteArray(content.readAllBytes()), false);
            SignerInformation one = signed.getSignerInfos().getSigners().iterator().next();
            byte[] stamp = unit.stamp(Peer.sha256(one.getSignature())).getEncoded();
            ASN1EncodableVector unsigned = new ASN1EncodableVector();
            unsigned.add(new Attribute(PKCSObjectIdentifiers.id_aa_signatureTimeStampToken, new DERSet(ASN1Primitive.fromByteArray(stamp))));
            SignerInformation stamped = SignerInformation.replaceUnsignedAttributes(one, new AttributeTable(unsigned));
            return CMSSignedData.replaceSigners(signed, new SignerInformationStore(List.of(stamped))).getEncoded();
        } catch (Exception fault) {
            throw new IOException(fault);
        }
    }

    /** PAdES (EN 319 142-1) keeps signing-time out: it stands in the signature dictionary. */
    private DefaultSignedAttributeTableGenerator withoutSigningTime() {
        return new DefaultSignedAttributeTableGenerator(signingCertificate) {
            @Override
            public AttributeTable getAttributes(@SuppressWarnings("rawtypes") java.util.Map parameters) {
                return super.getAttributes(parameters).remove(CMSAttributes.signingTime);
            }
        };
    }
}
