import com.itextpdf.text.log.CounterFactory;
import com.itextpdf.text.pdf.PdfReader;

import java.lang.reflect.Field;

/** The program around iText as it is after some thousand documents: its counter prints a notice to standard output at the next ones. */
public final class Talkative {
    public static void main(String[] arguments) throws Exception {
        Object counter = CounterFactory.getCounter(PdfReader.class);
        Field count = counter.getClass().getDeclaredField("count");
        count.setAccessible(true);
        count.setInt(counter, 10_000);
        Peer.main(arguments);
    }

    private Talkative() {}
}
