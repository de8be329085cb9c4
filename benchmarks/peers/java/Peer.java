import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * A peer of the benchmark: signs PDFs (PAdES B-T) with keys in a PKCS#11 token through SunPKCS11, one after the other, for as long as it
 * is told.
 *
 * <p>Arguments: program (itext, pdfbox), SunPKCS11's configuration file, PIN file, label of the seal key, label of the TSA key, file with
 * the issuing chain (PEM), folder of documents. It prints "ready"; then for every line "run SECONDS" on standard input it prints
 * "documents elapsed_s", and for "sample FILE" it writes a signed document. It ends with its standard input.
 */
public final class Peer {
    /** A program that signs one document. */
    interface Signer {
        byte[] sign(byte[] document) throws Exception;
    }

    /** Answers alone go to standard output: libraries print there, too (iText, of its licence, after some thousand documents). */
    private static final PrintStream ANSWERS = System.out;

    public static void main(String[] arguments) throws Exception {
        System.setOut(System.err);
        Provider token = Security.getProvider("SunPKCS11").configure(arguments[1]);
        Security.addProvider(token);
        Security.addProvider(new BouncyCastleProvider());
        KeyStore keys = KeyStore.getInstance("PKCS11", token);
        keys.load(null, Files.readString(Path.of(arguments[2])).strip().toCharArray());
        Key seal = Key.of(keys, arguments[3], Path.of(arguments[5]));
        TimestampUnit unit = new TimestampUnit(Key.of(keys, arguments[4], Path.of(arguments[5])), token);
        Signer signer = arguments[0].equals("itext") ? new WithIText(seal, unit, token) : new WithPdfBox(seal, unit, token);
        List<byte[]> documents = documents(Path.of(arguments[6]));
        signer.sign(documents.get(0));
        ANSWERS.println("ready");
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String order = orders.readLine(); order != null; order = orders.readLine()) {
            String[] words = order.split(" ", 2);
            if (words[0].equals("sample")) {
                Files.write(Path.of(words[1]), signer.sign(documents.get(0)));
                ANSWERS.println("written");
            } else {
                run(signer, documents, Double.parseDouble(words[1]));
            }
        }
    }

    private static void run(Signer signer, List<byte[]> documents, double seconds) throws Exception {
        long began = System.nanoTime();
        int done = 0;
        double elapsed = 0;
        while (elapsed < seconds) {
            signer.sign(documents.get(done % documents.size()));
            done++;
            elapsed = (System.nanoTime() - began) / 1e9;
        }
        ANSWERS.println(done + " " + elapsed);
    }

    private static List<byte[]> documents(Path folder) throws Exception {
        List<byte[]> found = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : (Iterable<Path>) files.sorted()::iterator) {
                found.add(Files.readAllBytes(file));
            }
        }
        return found;
    }

    /** A private key in the token with its certificate and the chain above it. */
    record Key(PrivateKey key, X509Certificate certificate, Certificate[] chain) {
        static Key of(KeyStore keys, String label, Path chain) throws Exception {
            PrivateKey key = (PrivateKey) keys.getKey(label, null);
            X509Certificate certificate = (X509Certificate) keys.getCertificate(label);
            List<Certificate> all = new ArrayList<>(List.of(certificate));
            CertificateFactory factory = CertificateFactory.getInstance("X.509");
            all.addAll(factory.generateCertificates(new ByteArrayInputStream(Files.readAllBytes(chain))));
            return new Key(key, certificate, all.toArray(new Certificate[0]));
        }

        /** SHA-256 with the key's own kind of signature. */
        String algorithm() {
            return key.getAlgorithm().equals("RSA") ? "SHA256withRSA" : "SHA256withECDSA";
        }
    }

    static byte[] sha256(byte[] data) throws Exception {
        return MessageDigest.getInstance("SHA-256").digest(data);
    }

    static ByteArrayOutputStream buffer(byte[] document) {
        return new ByteArrayOutputStream(document.length + 64 * 1024);
    }

    private Peer() {}
}
